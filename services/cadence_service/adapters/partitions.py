"""The weekly partitions of the history: made ahead, and dropped when nobody sees them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import sql

from chassis.postgres import BulkConnection

WEEK: Final = timedelta(days=7)
EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
#: Later than any notification.
FOREVER: Final = datetime.max.replace(tzinfo=UTC)
WEEKS_BACK: Final = 5
WEEKS_AHEAD: Final = 9


def make_partitions(connection: BulkConnection, now: datetime) -> None:
    """Make the partitions around `now` that are not there yet.

    A week that already has strays in the default partition keeps them there.
    """
    this_week = EPOCH + (now - EPOCH) // WEEK * WEEK
    for number in range(-WEEKS_BACK, WEEKS_AHEAD + 1):
        _make_partition(connection, this_week + number * WEEK)


def partition_name(instant: datetime) -> str:
    """Return the name of the week that holds `instant`, whether or not it has been made."""
    start = EPOCH + (instant - EPOCH) // WEEK * WEEK
    return f"user_notifications_{start:%Y%m%d}"


def _make_partition(connection: BulkConnection, start: datetime) -> None:
    name = sql.Identifier(partition_name(start))
    end = start + WEEK
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%(name)s)", {"name": partition_name(start)})
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
                # Vacuumed as it grows, so that cap checks need only look at the index.
                " WITH (autovacuum_vacuum_insert_scale_factor = 0.02)"
            ).format(name, sql.Literal(start.isoformat()), sql.Literal(end.isoformat()))
        )


def find_end(connection: BulkConnection) -> datetime:
    """Return an instant after which there is no notification."""
    row = connection.execute(
        """
        SELECT max(c.relname) FILTER (WHERE c.relname ~ '_[0-9]{8}$'),
               bool_or(c.relname = 'user_notifications_strays')
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'user_notifications'::regclass AND pg_relation_size(c.oid) > 0
        """
    ).fetchone()
    newest, has_strays = row or (None, True)
    if has_strays:
        return FOREVER
    return _start_of(newest) + WEEK if newest else EPOCH


def select_old_partitions(connection: BulkConnection, ended_before: datetime) -> list[str]:
    """Return the names of the weeks that ended before then, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relname
              FROM pg_inherits i
              JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'user_notifications'::regclass
               AND c.relname ~ '^user_notifications_[0-9]{8}$'
             ORDER BY c.relname
            """
        )
        names = [str(row[0]) for row in cursor]
    return [name for name in names if _start_of(name) + WEEK <= ended_before]


def drop_partition(connection: BulkConnection, name: str) -> int:
    """Drop a week with all that is in it; return how many rows that were."""
    table = sql.Identifier(name)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(table))
        row = cursor.fetchone()
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        cursor.execute(sql.SQL("DROP TABLE {}").format(table))
    return int(row[0]) if row else 0


def delete_strays(connection: BulkConnection, before: datetime) -> int:
    """Delete rows of before then that lie in no week of their own; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM user_notifications_strays WHERE sent_at < %(before)s", {"before": before}
        )
        return int(cursor.rowcount)


def _start_of(name: str) -> datetime:
    return datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
