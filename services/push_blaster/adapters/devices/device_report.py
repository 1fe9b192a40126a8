"""Counts of living and dead devices, by reason and day; and the removal of dead devices."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, LiteralString

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all

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
) -> Mapping[str, Sequence[Mapping[str, object]]]:
    """Return counts by kind and platform, and of dead devices by reason and, since then, by day.

    Shape: days are of UTC; the names are those of the report.
    """
    return {
        name: fetch_all(connection, sql, {"since": since}, make=dict, by_name=True)
        for name, sql in _COUNTS.items()
    }


def delete_dead_devices(
    connection: Connection, dead_before: datetime, limit: int | None = None
) -> int:
    """Delete devices that died before then, at most `limit` of them; return how many."""
    sql = """
        DELETE FROM devices
         WHERE dead_at < %(before)s
           AND token IN (
               SELECT token FROM devices WHERE dead_at < %(before)s LIMIT %(limit)s)
    """
    return execute(connection, sql, {"before": dead_before, "limit": limit})
