"""The table `execution_log`: the events that show people how an execution went."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, without_nul
from push_blaster.domain.executions.execution import LogLevel


class LogEntry(NamedTuple):
    """One event of a log, by the names that it has in JSON."""

    id: int
    timestamp: datetime
    level: str
    stage: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which events of a log.

    Shape: `find` is text of their stage or message, whatever its case; `after` and `before` are ids
    of events.
    """

    limit: int
    levels: Collection[LogLevel] = tuple(LogLevel)
    find: str = ""
    after: int | None = None
    before: int | None = None


def append_log(
    connection: Connection,
    execution_id: str,
    stage: str,
    message: str,
    now: datetime,
    level: LogLevel = LogLevel.INFO,
) -> None:
    """Add one event to the execution's log."""
    sql = """
        INSERT INTO execution_log (execution_id, at, level, stage, message)
        VALUES (%(id)s, %(at)s, %(level)s, %(stage)s, %(message)s)
    """
    values = {
        "id": execution_id,
        "at": now,
        "level": level,
        "stage": stage,
        "message": without_nul(message),
    }
    execute(connection, sql, values)


def select_log(
    connection: Connection, execution_id: str, after: int = 0, limit: int = 1_000
) -> list[LogEntry]:
    """Return events in order, from the one that follows `after` (0 for the first)."""
    return select_log_page(connection, execution_id, LogQuery(limit=limit, after=after))


def select_log_page(connection: Connection, execution_id: str, query: LogQuery) -> list[LogEntry]:
    """Return events that fit, in order: the first ones after a place, or else the last ones."""
    goes_down = query.after is not None
    sql = f"""
        SELECT seq, at, level, stage, message FROM execution_log
         WHERE execution_id = %(id)s AND level = ANY(%(levels)s)
           AND (%(after)s::bigint IS NULL OR seq > %(after)s)
           AND (%(before)s::bigint IS NULL OR seq < %(before)s)
           AND (%(find)s = '' OR position(lower(%(find)s) IN lower(stage || ' ' || message)) > 0)
         ORDER BY seq {"ASC" if goes_down else "DESC"} LIMIT %(limit)s
    """  # noqa: S608 - one of two words
    values = {**asdict(query), "levels": list(query.levels), "id": execution_id}
    found = fetch_all(connection, sql, values, make=LogEntry)
    return found if goes_down else found[::-1]
