"""Folding is exact: who is killed, cut off or joined by another engine counts each event once."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database, DatabaseAwayError
from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.adapters.engagement.conversion_table import attribute_conversions
from push_blaster.adapters.engagement.event_inbox import (
    REQUESTS_AT_ONCE,
    find_waits,
    fold_events,
    insert_events,
    take_fold_lock,
)
from push_blaster.domain.engagement.event import Event, EventKind
from push_blaster.use_cases.engagement.take_conversions import take_conversions
from tests.people import ALICE
from tests.push_blaster.engagement import SentPush, counted, fold

USERS = 40
KINDS = (EventKind.DELIVERED, EventKind.OPENED)
KILLED = """
import os, signal, sys
from chassis.postgres import Database
from push_blaster.adapters.engagement.event_inbox import fold_events
with Database(sys.argv[1]).transaction() as connection:
    print(fold_events(connection), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def engine(push_url: str) -> Iterator[Database]:
    """The connection of an engine, which others find by its name."""
    pool = Database(push_url, max_connections=1, application_name="push-fold")
    yield pool
    pool.close()


def append(database: Database, requests: int) -> None:
    """Append requests of phones that report the same events again and again."""
    now = utc_now()
    with database.transaction() as connection:
        for request in range(requests):
            user = UUID(int=request % USERS + 1)
            events = [Event(1, 1, 0, user, kind, "", now, counts=True) for kind in KINDS]
            insert_events(connection, events, now)


EXPECTED = {(1, 1, 0): {"delivered": USERS, "opened": USERS, "first_opened": USERS}}


@pytest.mark.slow
def test_a_process_that_is_killed_before_it_commits_has_counted_nothing(
    database: Database, push_url: str
) -> None:
    SentPush().insert(database)
    append(database, USERS)

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, push_url], capture_output=True, text=True, check=False
    )
    before = counted(database)
    fold(database)

    assert (killed.stdout.strip(), killed.returncode) == (str(USERS), -9), killed.stderr
    assert before == {}
    assert counted(database) == EXPECTED


def test_a_connection_that_is_cut_before_the_commit_has_counted_nothing(
    database: Database, engine: Database
) -> None:
    SentPush().insert(database)
    append(database, USERS)

    with pytest.raises(DatabaseAwayError):
        fold_and_be_cut(engine, database)

    assert counted(database) == {}
    fold(engine)
    assert counted(database) == EXPECTED


def fold_and_be_cut(engine: Database, database: Database) -> None:
    with engine.transaction() as connection:
        fold_events(connection)
        attribute_conversions(connection)
        cut(database)


def test_a_cut_connection_attributes_no_conversion_and_the_next_one_does(
    database: Database, engine: Database
) -> None:
    push = SentPush(goal="bought", hours=24).insert(database)
    push.offer(database)
    item = {"userId": str(ALICE), "goal": "bought", "key": "1", "value": 3}
    take_conversions(database, [item], utc_now())

    with pytest.raises(DatabaseAwayError):
        fold_and_be_cut(engine, database)
    before = counted(database)
    fold(engine)
    fold(engine)

    assert before == {}
    assert counted(database)[1, 1, 0] == {
        "conversions": 1,
        "converted": 1,
        "first_converted": 1,
        "value": 3,
    }


def cut(database: Database) -> int:
    sql = """
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE application_name = 'push-fold'
    """
    with database.transaction() as connection:
        return int(fetch_value(connection, sql))


@pytest.mark.slow
def test_two_engines_count_exactly_while_phones_report_and_connections_are_cut(
    database: Database, engine: Database
) -> None:
    SentPush().insert(database)
    is_over = False

    def keep_folding(pool: Database) -> None:
        while not is_over:
            with suppress(DatabaseAwayError):
                fold(pool)

    with ThreadPoolExecutor(2) as engines:
        done = [engines.submit(keep_folding, pool) for pool in (engine, database)]
        cuts = 0
        for _ in range(25):
            append(database, USERS)
            cuts += cut(database)
        is_over = True
        for one in done:
            one.result()
    fold(database)

    assert cuts >= 5
    assert counted(database) == EXPECTED
    with database.transaction() as connection:
        assert fetch_all(connection, "SELECT id FROM event_inbox") == []


def test_another_engine_does_not_wait_for_one_that_folds(
    database: Database, engine: Database
) -> None:
    SentPush().insert(database)
    append(database, USERS)

    with engine.transaction() as connection:
        first = take_fold_lock(connection)
        meanwhile = fold(database)

    assert (first, meanwhile) == (True, 0)
    assert fold(database) == USERS


def test_a_fold_takes_all_in_small_transactions_and_ends_when_it_has_to(
    database: Database,
) -> None:
    SentPush().insert(database)
    append(database, 2 * REQUESTS_AT_ONCE + 1)

    assert fold(database, should_stop=lambda: True) == 0
    assert fold(database) == 2 * REQUESTS_AT_ONCE + 1
    assert counted(database) == EXPECTED


def test_full_requests_of_different_users_are_folded_in_time_that_grows_with_their_number(
    database: Database, push_url: str
) -> None:
    """A join of what was added with what came would compare a hundred million pairs."""
    push, now = SentPush().insert(database), utc_now()
    with database.transaction() as connection:
        for request in range(REQUESTS_AT_ONCE):
            users = (UUID(int=100 * request + number + 1) for number in range(100))
            events = [
                Event(push.number, 1, 0, user, EventKind.OPENED, "", now, counts=True)
                for user in users
            ]
            insert_events(connection, events, now)
    hasty = Database(push_url, max_connections=1, statement_timeout=timedelta(seconds=15))

    with hasty.transaction() as connection:
        fold_events(connection)
    hasty.close()

    opened = REQUESTS_AT_ONCE * 100
    assert counted(database) == {(1, 1, 0): {"opened": opened, "first_opened": opened}}


def test_conversions_that_need_too_much_time_together_are_counted_in_smaller_parts(
    database: Database, push_url: str
) -> None:
    pushes = [SentPush(number=n, goal=f"goal {n}", hours=24).insert(database) for n in (1, 2)]
    for push in pushes:
        push.offer(database)
        item = {"userId": str(ALICE), "goal": push.goal, "key": push.goal}
        take_conversions(database, [item], utc_now())
    hasty = Database(push_url, max_connections=1, statement_timeout=timedelta(seconds=1))
    counts = "INSERT INTO result_counts (execution_number, position, variant) VALUES (2, 1, 0)"

    with database.transaction() as connection:
        execute(connection, counts)  # Whoever counts for the second push waits for this.
        with pytest.raises(DatabaseAwayError):
            fold(hasty)
    meanwhile = counted(database)
    fold(hasty)
    hasty.close()

    assert meanwhile[1, 1, 0]["conversions"] == 1
    assert [counted(database)[n, 1, 0]["conversions"] for n in (1, 2)] == [1, 1]


def test_the_wait_is_that_of_the_oldest_report(database: Database) -> None:
    now = utc_now()
    with database.transaction() as connection:
        before = find_waits(connection)
        for minutes in (5, 1):
            insert_events(connection, [], now - timedelta(minutes=minutes))
    item = {"userId": str(ALICE), "goal": "bought", "key": "1"}
    take_conversions(database, [item], now - timedelta(minutes=2))

    with database.transaction() as connection:
        waits = find_waits(connection)

    assert before == {"event": 0, "conversion": 0}
    assert 300 <= waits["event"] < 330
    assert 120 <= waits["conversion"] < 150
