"""Tables that are partitioned by week: weeks are made ahead, and dropped after their retention.

A row whose week has no partition goes to the default partition, `<table>_strays`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from chassis.postgres import Pool
from chassis.rows import execute, fetch_value, fetch_values
from chassis.schema_changes import change_schema

WEEK: Final = timedelta(days=7)
EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday


@dataclass(frozen=True, slots=True)
class WeeklyTable:
    """A table whose partitions are weeks from Monday to Monday, UTC.

    Shape: `column` is the key of the partitions, a timestamptz or a date; `options` are storage
    parameters of each partition. Partitions are made for the weeks from `weeks_back` ago on.
    """

    name: str
    column: str
    weeks_back: int
    weeks_ahead: int = 9
    options: str = ""

    @property
    def strays(self) -> str:
        """Return the name of the default partition."""
        return f"{self.name}_strays"

    def partition_name(self, instant: datetime) -> str:
        """Return the name of the week that holds `instant`, whether or not it has been made."""
        return f"{self.name}_{start_of_week(instant):%Y%m%d}"

    def make_partitions(
        self, database: Pool[Any], now: datetime, kept_from: datetime | None = None
    ) -> None:
        """Make the missing partitions around `now`; callers of the table are not disturbed.

        No week that ended before `kept_from` is made, for its retention is over. A week whose rows
        are already in the default partition keeps them there.
        Raises: SchemaBusyError.
        """
        this_week = start_of_week(now)
        for number in range(-self.weeks_back, self.weeks_ahead + 1):
            start = this_week + number * WEEK
            if kept_from is None or start + WEEK > kept_from:
                change_schema(database, partial(self._make_partition, start=start))

    def _make_partition(self, connection: Any, start: datetime) -> None:
        """Make a week as a separate table, then attach it; so callers are locked out briefly."""
        name, week = self.partition_name(start), _bounds(start)
        if fetch_value(connection, "SELECT to_regclass(%(name)s)", {"name": name}) is not None:
            return
        strays = f"SELECT 1 FROM {self.strays} WHERE {self._is_in_week} LIMIT 1"  # noqa: S608 - our own names
        if fetch_value(connection, strays, week) is not None:
            return
        execute(connection, f"CREATE TABLE {name} (LIKE {self.name} INCLUDING ALL) {self.options}")
        values = f"FROM ('{week['start']}') TO ('{week['end']}')"
        execute(connection, f"ALTER TABLE {self.name} ATTACH PARTITION {name} FOR VALUES {values}")

    @property
    def _is_in_week(self) -> str:
        return f"{self.column} >= %(start)s AND {self.column} < %(end)s"

    def select_weeks(self, connection: Any) -> list[str]:
        """Return the names of all weeks, oldest first."""
        sql = """
            SELECT c.relname
              FROM pg_inherits i
              JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = %(table)s::regclass AND c.relname ~ %(weeks)s
             ORDER BY c.relname
        """
        weeks = f"^{self.name}_[0-9]{{8}}$"
        return fetch_values(connection, sql, {"table": self.name, "weeks": weeks})

    def select_old_weeks(self, connection: Any, ended_before: datetime) -> list[str]:
        """Return the names of the weeks that ended before then, oldest first."""
        weeks = self.select_weeks(connection)
        return [name for name in weeks if start_of(name) + WEEK <= ended_before]

    def drop_week(self, database: Pool[Any], name: str) -> int | None:
        """Drop a week with all its rows; return their number, None if somebody else dropped it.

        Raises: SchemaBusyError.
        """

        def drop(connection: Any) -> bool:
            execute(connection, f"LOCK TABLE {self.name} IN ACCESS EXCLUSIVE MODE")
            if fetch_value(connection, "SELECT to_regclass(%(name)s)", {"name": name}) is None:
                return False
            execute(connection, f"DROP TABLE {name}")
            return True

        count = f"SELECT count(*) FROM {self.name} WHERE {self._is_in_week}"  # noqa: S608 - our own names
        with database.transaction() as connection:
            rows: int = fetch_value(connection, count, _bounds(start_of(name)))
        return rows if change_schema(database, drop) else None

    def delete_strays(self, connection: Any, before: datetime) -> int:
        """Delete rows from before then that are in no week's partition; return how many."""
        sql = f"DELETE FROM {self.strays} WHERE {self.column} < %(before)s"  # noqa: S608 - our own names
        return execute(connection, sql, {"before": before})


def start_of_week(instant: datetime) -> datetime:
    """Return the Monday, UTC, on which the week of `instant` began."""
    return EPOCH + (instant - EPOCH) // WEEK * WEEK


def start_of(partition: str) -> datetime:
    """Return when the week of a partition with this name begins."""
    return datetime.strptime(partition[-8:], "%Y%m%d").replace(tzinfo=UTC)


def _bounds(start: datetime) -> dict[str, str]:
    return {"start": start.isoformat(), "end": (start + WEEK).isoformat()}
