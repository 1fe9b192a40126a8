"""The weekly partitions of the history: made ahead, and dropped when no rule needs them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from psycopg import sql

from chassis.postgres import BulkConnection, BulkDatabase
from chassis.rows import execute, fetch_one, fetch_value, fetch_values
from chassis.schema_changes import change_schema

WEEK: Final = timedelta(days=7)
EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
#: Later than any notification.
FOREVER: Final = datetime.max.replace(tzinfo=UTC)
#: The partition of notifications whose week has none.
STRAYS: Final = "user_notifications_strays"
WEEKS_BACK: Final = 5
WEEKS_AHEAD: Final = 9


def make_partitions(
    database: BulkDatabase, now: datetime, kept_from: datetime | None = None
) -> None:
    """Make the missing partitions around `now`; callers that check audiences are not disturbed.

    No week that ended before `kept_from` is made, for its retention is over. A week whose rows are
    already in the default partition keeps them there.
    Raises: SchemaBusyError.
    """
    this_week = _start_of_week(now)
    for number in range(-WEEKS_BACK, WEEKS_AHEAD + 1):
        start = this_week + number * WEEK
        if kept_from is None or start + WEEK > kept_from:
            change_schema(database, partial(_make_partition, start=start))


def partition_name(instant: datetime) -> str:
    """Return the name of the week that holds `instant`, whether or not it has been made."""
    return f"user_notifications_{_start_of_week(instant):%Y%m%d}"


def _make_partition(connection: BulkConnection, start: datetime) -> None:
    """Make a week as a separate table, then attach it; so callers are locked out only briefly."""
    name, end = partition_name(start), start + WEEK
    if fetch_value(connection, "SELECT to_regclass(%(name)s)", {"name": name}) is not None:
        return
    strays = """
        SELECT 1 FROM user_notifications_strays
         WHERE sent_at >= %(start)s AND sent_at < %(end)s LIMIT 1
    """
    if fetch_value(connection, strays, {"start": start, "end": end}) is not None:
        return
    make = sql.SQL(
        "CREATE TABLE {} (LIKE user_notifications INCLUDING ALL)"
        # It is vacuumed as it grows, so that cap checks need to read only the index.
        " WITH (autovacuum_vacuum_insert_scale_factor = 0.02)"
    )
    attach = sql.SQL(
        "ALTER TABLE user_notifications ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
    )
    execute(connection, make.format(sql.Identifier(name)))
    bounds = (sql.Literal(start.isoformat()), sql.Literal(end.isoformat()))
    execute(connection, attach.format(sql.Identifier(name), *bounds))


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
    return _start_of(newest) + WEEK if newest else EPOCH


def select_old_partitions(connection: BulkConnection, ended_before: datetime) -> list[str]:
    """Return the names of the weeks that ended before then, oldest first."""
    return [name for name in select_weeks(connection) if _start_of(name) + WEEK <= ended_before]


def select_partitions(connection: BulkConnection, first: datetime, last: datetime) -> list[str]:
    """Return the names of the partitions that may hold notifications from `first` to `last`."""
    weeks = select_weeks(connection)
    named = partition_name(first), partition_name(last)
    return [name for name in weeks if named[0] <= name <= named[1]] + [STRAYS]


def select_weeks(connection: BulkConnection) -> list[str]:
    """Return the names of all weeks, oldest first."""
    sql = """
        SELECT c.relname
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'user_notifications'::regclass
           AND c.relname ~ '^user_notifications_[0-9]{8}$'
         ORDER BY c.relname
    """
    return fetch_values(connection, sql)


def drop_partition(database: BulkDatabase, name: str) -> int | None:
    """Drop a week with all its rows; return how many there were, None if somebody else dropped it.

    Raises: SchemaBusyError.
    """

    def drop(connection: BulkConnection) -> bool:
        execute(connection, "LOCK TABLE user_notifications IN ACCESS EXCLUSIVE MODE")
        if fetch_value(connection, "SELECT to_regclass(%(name)s)", {"name": name}) is None:
            return False
        execute(connection, sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        return True

    count = """
        SELECT count(*) FROM user_notifications
         WHERE sent_at >= %(start)s AND sent_at < %(end)s
    """
    start = _start_of(name)
    with database.transaction() as connection:
        rows: int = fetch_value(connection, count, {"start": start, "end": start + WEEK})
    return rows if change_schema(database, drop) else None


def delete_strays(connection: BulkConnection, before: datetime) -> int:
    """Delete rows from before then that are in no week's partition; return how many."""
    sql = "DELETE FROM user_notifications_strays WHERE sent_at < %(before)s"
    return execute(connection, sql, {"before": before})


def _start_of_week(instant: datetime) -> datetime:
    return EPOCH + (instant - EPOCH) // WEEK * WEEK


def _start_of(name: str) -> datetime:
    return datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
