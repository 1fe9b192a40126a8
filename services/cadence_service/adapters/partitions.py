"""The weekly partitions of the history, made ahead."""

from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg2 import sql

from chassis.postgres import Connection

WEEK: Final = timedelta(days=7)
EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
WEEKS_BACK: Final = 5
WEEKS_AHEAD: Final = 9


def make_partitions(connection: Connection, now: datetime) -> None:
    """Make the partitions around `now` that are not there yet.

    A week that already has strays in the default partition keeps them there.
    """
    this_week = EPOCH + (now - EPOCH) // WEEK * WEEK
    for number in range(-WEEKS_BACK, WEEKS_AHEAD + 1):
        _make_partition(connection, this_week + number * WEEK)


def _make_partition(connection: Connection, start: datetime) -> None:
    name = sql.Identifier(f"user_notifications_{start:%Y%m%d}")
    end = start + WEEK
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%(name)s)", {"name": name.strings[0]})
        row = cursor.fetchone()
        if row and row[0] is not None:
            return
        cursor.execute(
            """
            SELECT 1 FROM user_notifications_strays
             WHERE sent_at >= %(start)s AND sent_at < %(end)s LIMIT 1
            """,
            {"start": start, "end": end},
        )
        if cursor.fetchone() is not None:
            return
        cursor.execute(
            sql.SQL(
                "CREATE TABLE {} PARTITION OF user_notifications FOR VALUES FROM ({}) TO ({})"
            ).format(name, sql.Literal(start.isoformat()), sql.Literal(end.isoformat()))
        )
