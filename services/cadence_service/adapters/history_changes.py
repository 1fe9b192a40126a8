"""The table `history_changes`: who changed the history other than by an import, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all, fetch_value


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryChange:
    """A change of the history.

    Shape: `caller` is the role of the token, or the command line; without `ended_at` the change
    runs, or it ended half way.
    """

    id: int
    action: str
    caller: str
    asked: Mapping[str, object]
    started_at: datetime
    ended_at: datetime | None
    done: Mapping[str, object] | None


def begin_change(
    connection: BulkConnection, action: str, caller: str, asked: Mapping[str, object], now: datetime
) -> int:
    """Record that a change begins; return its id."""
    sql = """
        INSERT INTO history_changes (action, caller, asked, started_at)
        VALUES (%(action)s, %(caller)s, %(asked)s, %(now)s)
        RETURNING id
    """
    values = {"action": action, "caller": caller, "asked": Jsonb(dict(asked)), "now": now}
    return int(fetch_value(connection, sql, values))


def end_change(
    connection: BulkConnection, change_id: int, done: Mapping[str, object], now: datetime
) -> None:
    """Record what a change has done."""
    sql = "UPDATE history_changes SET ended_at = %(now)s, done = %(done)s WHERE id = %(id)s"
    execute(connection, sql, {"id": change_id, "now": now, "done": Jsonb(dict(done))})


def select_changes(
    connection: BulkConnection, before: int | None, limit: int
) -> list[HistoryChange]:
    """Return changes, newest first; the page after the one with the id `before`."""
    sql = """
        SELECT id, action, caller, asked, started_at, ended_at, done
          FROM history_changes
         WHERE %(before)s::bigint IS NULL OR id < %(before)s::bigint
         ORDER BY id DESC LIMIT %(limit)s
    """
    values = {"before": before, "limit": limit}
    return fetch_all(connection, sql, values, make=HistoryChange, by_name=True)
