"""The weeks of events: each is a partition, and goes as a whole."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.postgres import Database
from chassis.rows import execute, fetch_all, fetch_value
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.engagement.event_table import EVENTS
from tests.databases import make_push_database
from tests.people import ALICE

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def own_database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A database of its own, whose weeks may be dropped."""
    url = make_push_database(postgres, f"push_weeks_{uuid4().hex[:8]}")
    database = Database(url, max_connections=2)
    EVENTS.make_partitions(database, NOW)
    yield database
    database.close()


def insert(database: Database, *weeks: datetime) -> None:
    sql = """
        INSERT INTO events (week, execution_number, position, user_id, event, variant, at,
                            received_at)
        VALUES (%(week)s, 1, 1, %(user)s, 'opened', 0, %(week)s, %(week)s)
    """
    with database.transaction() as connection:
        for week in weeks:
            execute(connection, sql, {"week": week, "user": ALICE})


def places(database: Database) -> list[str]:
    with database.transaction() as connection:
        rows = fetch_all(connection, "SELECT tableoid::regclass::text FROM events ORDER BY week")
    return [name for (name,) in rows]


def test_an_event_is_in_the_partition_of_its_week_whenever_that_was_made(
    own_database: Database,
) -> None:
    far = MONDAY + timedelta(weeks=12)

    insert(own_database, MONDAY, MONDAY - timedelta(weeks=5), MONDAY + timedelta(weeks=9), far)

    expected = ["events_20261019", "events_20261123", "events_20270125", "events_strays"]
    assert places(own_database) == expected


def test_a_week_goes_as_a_whole_and_strays_of_its_time_go_too(own_database: Database) -> None:
    old, older = MONDAY - timedelta(weeks=5), MONDAY - timedelta(weeks=30)
    insert(own_database, older, old, MONDAY)

    with own_database.transaction() as connection:
        weeks = EVENTS.select_old_weeks(connection, MONDAY - timedelta(weeks=4))
    dropped = [EVENTS.drop_week(own_database, week) for week in weeks]
    with own_database.transaction() as connection:
        strays = EVENTS.delete_strays(connection, MONDAY - timedelta(weeks=4))
        left = fetch_value(connection, "SELECT count(*) FROM events")

    assert weeks == ["events_20261012", "events_20261019"]
    assert (dropped, strays, left) == ([0, 1], 1, 1)
