"""The table `engines`: which engine processes are alive."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg2.extras import Json

from chassis.postgres import Connection

#: An engine that has been silent for longer is not counted as alive.
ALIVE_WITHIN: Final = timedelta(seconds=15)


def beat(
    connection: Connection,
    engine_id: str,
    started_at: datetime,
    now: datetime,
    pace: Mapping[str, Any] | None = None,
) -> None:
    """Say that this engine is alive and at work, and at which pace it sends."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO engines (id, started_at, seen_at, pace)
            VALUES (%(id)s, %(started_at)s, %(now)s, %(pace)s)
                ON CONFLICT (id) DO UPDATE
               SET seen_at = EXCLUDED.seen_at, pace = EXCLUDED.pace
            """,
            {
                "id": engine_id,
                "started_at": started_at,
                "now": now,
                "pace": Json(pace) if pace else None,
            },
        )


def select_engines(connection: Connection, seen_since: datetime) -> list[str]:
    """Return the ids of the engines that have been at work since then."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM engines WHERE seen_at >= %(since)s ORDER BY started_at",
            {"since": seen_since},
        )
        return [row[0] for row in cursor]


def select_paces(connection: Connection, seen_since: datetime) -> list[dict[str, Any]]:
    """Return at which pace each engine sends that has been at work since then."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, pace FROM engines
             WHERE seen_at >= %(since)s AND pace IS NOT NULL
             ORDER BY started_at
            """,
            {"since": seen_since},
        )
        return [{"engine": engine_id, **pace} for engine_id, pace in cursor]


def delete_engines(connection: Connection, not_seen_since: datetime) -> None:
    """Forget engines that are long gone."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM engines WHERE seen_at < %(t)s", {"t": not_seen_since})
