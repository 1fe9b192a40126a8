"""The weekly partitions of the history, of which cap checks read only those of their windows."""

from datetime import UTC, datetime
from typing import Final

from chassis.commands.weekly_table import EPOCH, WEEK, WeeklyTable, start_of
from chassis.postgres import BulkConnection
from chassis.rows import fetch_one

#: Later than any notification.
FOREVER: Final = datetime.max.replace(tzinfo=UTC)
HISTORY: Final = WeeklyTable(
    "user_notifications",
    "sent_at",
    weeks_back=5,
    # It is vacuumed as it grows, so that cap checks need to read only the index.
    options="WITH (autovacuum_vacuum_insert_scale_factor = 0.02)",
)
make_partitions = HISTORY.make_partitions
partition_name = HISTORY.partition_name


def find_end(connection: BulkConnection) -> datetime:
    """Return an instant after which there is no notification."""
    sql = """
        SELECT max(c.relname) FILTER (WHERE c.relname ~ '_[0-9]{8}$'),
               bool_or(c.relname = 'user_notifications_strays')
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'user_notifications'::regclass AND pg_relation_size(c.oid) > 0
    """
    row = fetch_one(connection, sql)
    newest, has_strays = row or (None, True)
    if has_strays:
        return FOREVER
    return start_of(newest) + WEEK if newest else EPOCH


def select_partitions(connection: BulkConnection, first: datetime, last: datetime) -> list[str]:
    """Return the names of the partitions that may hold notifications from `first` to `last`."""
    named = partition_name(first), partition_name(last)
    weeks = [name for name in HISTORY.select_weeks(connection) if named[0] <= name <= named[1]]
    return [*weeks, HISTORY.strays]
