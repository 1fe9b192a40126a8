"""How many devices live and how many died, of what and when; and the removal of the dead."""

from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection

_COUNTS: Final[dict[str, LiteralString]] = {
    "by_kind": """
        SELECT kind, count(*) FILTER (WHERE dead_at IS NULL) AS living, count(dead_at) AS dead
          FROM devices GROUP BY 1 ORDER BY 1
    """,
    "by_platform": """
        SELECT platform, count(*) FILTER (WHERE dead_at IS NULL) AS living, count(dead_at) AS dead
          FROM devices GROUP BY 1 ORDER BY 1
    """,
    "dead_by_reason": """
        SELECT dead_reason AS reason, count(*) AS devices
          FROM devices WHERE dead_at IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100
    """,
    "dead_by_day": """
        SELECT (dead_at AT TIME ZONE 'UTC')::date AS day, count(*) AS devices
          FROM devices WHERE dead_at >= %(since)s GROUP BY 1 ORDER BY 1 DESC
    """,
}


def select_device_report(
    connection: Connection, since: datetime
) -> dict[str, list[dict[str, Any]]]:
    """Return the counts by kind and by platform, and of the dead by reason and, since then, by day.

    Shape: days are of UTC.
    """
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        report = {}
        for name, statement in _COUNTS.items():
            cursor.execute(statement, {"since": since})
            report[name] = [dict(row) for row in cursor]
        return report


def delete_dead_devices(
    connection: Connection, dead_before: datetime, most: int | None = None
) -> int:
    """Forget the devices that died before then, or `most` of them; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM devices
             WHERE dead_at < %(before)s
               AND token IN (
                   SELECT token FROM devices WHERE dead_at < %(before)s LIMIT %(most)s)
            """,
            {"before": dead_before, "most": most},
        )
        return int(cursor.rowcount)
