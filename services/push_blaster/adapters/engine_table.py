"""The table `engines`: which engine processes are alive."""

from datetime import datetime

from chassis.postgres import Connection


def beat(connection: Connection, engine_id: str, started_at: datetime, now: datetime) -> None:
    """Say that this engine is alive and at work."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO engines (id, started_at, seen_at)
            VALUES (%(id)s, %(started_at)s, %(now)s)
                ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at
            """,
            {"id": engine_id, "started_at": started_at, "now": now},
        )


def select_engines(connection: Connection, seen_since: datetime) -> list[str]:
    """Return the ids of the engines that have been at work since then."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM engines WHERE seen_at >= %(since)s ORDER BY started_at",
            {"since": seen_since},
        )
        return [row[0] for row in cursor]


def delete_engines(connection: Connection, not_seen_since: datetime) -> None:
    """Forget engines that are long gone."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM engines WHERE seen_at < %(t)s", {"t": not_seen_since})
