"""The table `engines`: the engine processes, and when each was last alive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_values

#: An engine that has been silent for longer does not count as alive.
ALIVE_WITHIN: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An engine process: when it started, and when it was last alive."""

    id: str
    started_at: datetime
    seen_at: datetime


def beat(
    connection: Connection,
    engine_id: str,
    started_at: datetime,
    now: datetime,
    pace: Mapping[str, Any] | None = None,
) -> None:
    """Record that this engine is alive, and the pace at which it sends."""
    sql = """
        INSERT INTO engines (id, started_at, seen_at, pace)
        VALUES (%(id)s, %(started_at)s, %(now)s, %(pace)s)
            ON CONFLICT (id) DO UPDATE
           SET seen_at = EXCLUDED.seen_at, pace = EXCLUDED.pace
    """
    values = {
        "id": engine_id,
        "started_at": started_at,
        "now": now,
        "pace": Json(pace) if pace else None,
    }
    execute(connection, sql, values)


def select_engine_records(connection: Connection) -> list[EngineRecord]:
    """Return every engine in the table, the newest first."""
    statement = "SELECT id, started_at, seen_at FROM engines ORDER BY started_at DESC, id"
    return fetch_all(connection, statement, make=EngineRecord)


def select_engines(connection: Connection, seen_since: datetime) -> list[str]:
    """Return the ids of the engines that were alive at `seen_since` or later."""
    sql = "SELECT id FROM engines WHERE seen_at >= %(since)s ORDER BY started_at"
    return fetch_values(connection, sql, {"since": seen_since})


def select_paces(connection: Connection, seen_since: datetime) -> list[dict[str, Any]]:
    """Return the pace of each engine that was alive at `seen_since` or later, as JSON."""
    sql = """
        SELECT id, pace FROM engines
         WHERE seen_at >= %(since)s AND pace IS NOT NULL
         ORDER BY started_at
    """
    rows = fetch_all(connection, sql, {"since": seen_since})
    return [{"engine": engine_id, **pace} for engine_id, pace in rows]


def delete_engines(connection: Connection, not_seen_since: datetime) -> None:
    """Delete engines that were last alive before `not_seen_since`."""
    execute(connection, "DELETE FROM engines WHERE seen_at < %(t)s", {"t": not_seen_since})
