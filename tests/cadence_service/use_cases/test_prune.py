"""Retention: whole weeks go, and never what a rule still sees."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import psycopg.sql
import pytest
import time_machine
from click.testing import CliRunner

from cadence_service.adapters.history_changes import select_changes
from cadence_service.adapters.partitions import make_partitions
from cadence_service.cli import main
from cadence_service.use_cases.prune import plan_pruning, prune
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.databases import copy_database
from tests.people import ALICE

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def own_database(postgres: EmbeddedPostgres, cadence_template: str) -> Iterator[BulkDatabase]:
    """A database of its own, whose weeks may be dropped."""
    url = copy_database(postgres, cadence_template, f"cadence_prune_{uuid4().hex[:8]}")
    database = BulkDatabase(url, max_connections=2)
    make_partitions(database, NOW - 28 * DAY)
    make_partitions(database, NOW)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE user_notifications, messages, notification_keys, reservations CASCADE"
        )
    yield database
    database.close()


def record(database: BulkDatabase, *days_ago: int) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        for days in days_ago:
            cursor.execute(
                "INSERT INTO user_notifications (user_id, sent_at, layer_id) VALUES (%s, %s, 3)",
                (ALICE, NOW - days * DAY),
            )


def ages(database: BulkDatabase) -> list[int]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sent_at FROM user_notifications ORDER BY sent_at")
        return [(NOW - row[0]).days for row in cursor]


def test_weeks_past_keeping_go_whole_and_the_others_stay(own_database: BulkDatabase) -> None:
    record(own_database, 0, 10, 20, 21, 23, 27, 40)

    done = prune(own_database, 21 * DAY, NOW)

    assert ages(own_database) == [23, 21, 20, 10, 0], "the week of day 21 is still in use"
    assert done.notifications == 2
    assert prune(own_database, 21 * DAY, NOW).notifications == 0


def test_what_an_active_rule_sees_is_kept_however_little_is_asked_for(
    own_database: BulkDatabase,
) -> None:
    record(own_database, 1, 6, 7, 20)

    prune(own_database, DAY, NOW)

    assert ages(own_database)[-3:] == [7, 6, 1], "the longest rule sees 7 days"


def test_a_long_rule_keeps_more(own_database: BulkDatabase) -> None:
    record(own_database, 27)
    with own_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cadence_rules SET window_hours = 24 * 30 WHERE position = 1")

    prune(own_database, DAY, NOW)

    assert ages(own_database) == [27]
    with own_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cadence_rules SET window_hours = 72 WHERE position = 1")


def test_keys_reservations_and_texts_go_with_their_history(own_database: BulkDatabase) -> None:
    old, new = NOW - 60 * DAY, NOW - DAY
    with own_database.transaction() as connection, connection.cursor() as cursor:
        for at in (old, new):
            cursor.execute(
                "INSERT INTO notification_keys VALUES (%s, %s, %s)", (ALICE, str(at), at)
            )
            cursor.execute(
                "INSERT INTO reservations (key, layer_id, scheduled_for, rule_set, state,"
                " expires_at, body_digest) VALUES (%s, 3, %s, 1, 'confirmed', %s, '')",
                (str(at), at, at),
            )
        cursor.execute("INSERT INTO messages (digest) VALUES ('unused')")

    done = prune(own_database, 30 * DAY, NOW)

    assert (done.keys, done.reservations, done.messages) == (1, 1, 1)


def test_a_dry_run_drops_nothing(own_database: BulkDatabase) -> None:
    record(own_database, 27)

    with own_database.transaction() as connection:
        planned = plan_pruning(connection, 10 * DAY, NOW)

    assert planned.weeks
    assert ages(own_database) == [27]


def test_two_at_once_tell_what_each_of_them_dropped(own_database: BulkDatabase) -> None:
    record(own_database, 0, 30, 31, 32, 40)

    with ThreadPoolExecutor(2) as both:
        running = [both.submit(prune, own_database, 21 * DAY, NOW) for _ in range(2)]
        done = [each.result() for each in running]

    weeks = [week for each in done for week in each.weeks]
    assert len(weeks) == len(set(weeks)) > 1
    assert sum(each.notifications for each in done) == 4
    assert ages(own_database) == [0]


def test_a_week_past_keeping_is_not_made_again(own_database: BulkDatabase) -> None:
    dropped = prune(own_database, 21 * DAY, NOW).weeks

    assert prune(own_database, 21 * DAY, NOW).weeks == ()
    assert len(dropped) > 1


def test_the_command_goes_by_the_clock_of_the_database(
    own_database: BulkDatabase, settings: None
) -> None:
    today = utc_now()
    make_partitions(own_database, today)
    record(own_database, (NOW - today).days)

    with time_machine.travel(today + 900 * DAY):
        done = CliRunner().invoke(main, ["prune"])

    assert done.exit_code == 0, done.output
    assert len(ages(own_database)) == 1


def test_the_command_refuses_to_drop_nearly_everything(
    own_database: BulkDatabase, settings: None
) -> None:
    record(own_database, 0, 10)
    let_the_database_be_wrong_by(own_database, 900 * DAY)

    refused = CliRunner().invoke(main, ["prune"])
    assert ages(own_database) == [10, 0]
    allowed = CliRunner().invoke(main, ["prune", "--yes-remove", "1000"])

    assert refused.exit_code == 1
    assert "weeks would go, which is more than half" in refused.output
    assert allowed.exit_code == 0, allowed.output
    assert ages(own_database) == []


@pytest.fixture
def settings(own_database: BulkDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_CADENCE_DATABASE_URL", own_database.url)
    monkeypatch.setenv("CADENCE_API_TOKEN", "token-of-the-tests")


def let_the_database_be_wrong_by(database: BulkDatabase, error: timedelta) -> None:
    """Give this database a clock of its own, which its statements find before the server's."""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA wrong")
        cursor.execute(
            "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
            f" AS $$ SELECT pg_catalog.clock_timestamp() + interval '{error.days} days' $$"
        )
        name = psycopg.sql.Identifier(connection.info.dbname)
        cursor.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET search_path = wrong, pg_catalog, public").format(
                name
            )
        )


def test_the_command_leaves_a_record_and_a_dry_run_none(
    own_database: BulkDatabase, settings: None
) -> None:
    make_partitions(own_database, utc_now())

    for arguments in (["prune", "--dry-run"], ["prune", "--keep-days", "400"]):
        assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0

    with own_database.transaction() as connection:
        (change,) = select_changes(connection, None, 10)
    assert (change.action, change.caller) == ("pruned", "command line")
    assert change.asked["keepDays"] == 400
    assert change.done == {"weeks": change.asked["weeks"], "notifications": 0}
    assert change.ended_at
