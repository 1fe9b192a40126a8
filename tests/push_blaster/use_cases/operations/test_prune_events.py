"""Retention of events: weeks go as a whole with what is as old, and the counters stay."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute, fetch_all
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.engagement.event_inbox import insert_events
from push_blaster.adapters.engagement.event_table import EVENTS
from push_blaster.adapters.engagement.opt_out_tap_table import TapKey, insert_taps
from push_blaster.domain.engagement.event import ACCEPTED_FOR, Event, EventKind
from push_blaster.domain.operations.retention import Retention
from push_blaster.use_cases.engagement.take_conversions import take_conversions
from push_blaster.use_cases.operations.prune import Kept, plan_pruning, prune
from tests.databases import make_push_database
from tests.people import ALICE, BOB
from tests.push_blaster.engagement import SentPush, counted, fold

DAY = timedelta(days=1)


@pytest.fixture
def own_database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A database of its own, whose weeks may be dropped."""
    url = make_push_database(postgres, f"push_events_{uuid4().hex[:8]}")
    database = Database(url, max_connections=2)
    yield database
    database.close()


def open_push(database: Database, push: SentPush) -> None:
    event = Event(push.number, 1, 0, ALICE, EventKind.OPENED, "", utc_now(), counts=True)
    with database.transaction() as connection:
        insert_events(connection, [event], utc_now())
    fold(database)


def convert(database: Database, *users: UUID) -> None:
    conversions = [{"userId": str(user), "goal": "bought", "key": str(user)} for user in users]
    take_conversions(database, conversions, utc_now())
    fold(database)


def read_all(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return what is kept of each table."""
    columns = {
        "events": "execution_number",
        "first_events": "metric, execution_number",
        "conversions": "user_id",
        "attributions": "user_id",
    }
    with database.transaction() as connection:
        return {
            table: fetch_all(connection, f"SELECT {names} FROM {table} ORDER BY 1")  # noqa: S608 - ours
            for table, names in columns.items()
        }


@pytest.mark.slow
def test_the_counters_of_a_push_go_when_their_own_time_has_ended(
    own_database: Database, tmp_path: Path
) -> None:
    now = utc_now()
    for number, days in ((1, 1_096), (2, 1_094)):
        push = SentPush(number=number, ago=days * DAY).insert(own_database)
        open_push(own_database, push)
    kept = Kept(database=own_database, data_folder=tmp_path, retention=Retention())

    planned = plan_pruning(kept, now)
    done = prune(kept, now)

    assert (planned.results, done.results, prune(kept, now).results) == (1, 1, 0)
    assert [number for number, _, _ in counted(own_database)] == [2]


@pytest.mark.slow
def test_weeks_of_events_and_what_is_as_old_go_and_the_counters_stay(
    own_database: Database, tmp_path: Path
) -> None:
    now = utc_now()
    for weeks_ago in (0, 8):
        EVENTS.make_partitions(own_database, now - weeks_ago * 7 * DAY)
    pushes = [
        SentPush(number=1, ago=100 * DAY, texts="of old"),
        SentPush(number=2, ago=100 * DAY),
        SentPush(number=3, ago=DAY, goal="bought", hours=48),
    ]
    for push in pushes:
        open_push(own_database, push.insert(own_database))
    pushes[2].offer(own_database)
    convert(own_database, ALICE, BOB)
    aged = "UPDATE conversions SET received_at = %s WHERE user_id = %s"
    with own_database.transaction() as connection:
        execute(connection, aged, (now - 91 * DAY, ALICE))
    before = counted(own_database)
    kept = Kept(database=own_database, data_folder=tmp_path, retention=Retention())

    planned = plan_pruning(kept, now)
    done = prune(kept, now)
    again = prune(kept, now)

    assert (done.weeks, again.weeks) == (planned.weeks, [])
    assert len(done.weeks) >= 1
    assert counted(own_database) == before
    assert read_all(own_database) == {
        "events": [(3,)],
        # The texts of push 2 are those of push 3, which was sent yesterday.
        "first_events": [("converted", 3), ("opened", 2)],
        "conversions": [(BOB,)],
        "attributions": [],
    }


def test_taps_are_forgotten_when_their_repetition_would_be_refused(
    own_database: Database, tmp_path: Path
) -> None:
    kept = Kept(database=own_database, data_folder=tmp_path, retention=Retention())
    tap, now = TapKey(ALICE, 1, 1, "all", ""), utc_now()
    with own_database.transaction() as connection:
        first = insert_taps(connection, [tap, tap], now)

    new = []
    for later in (ACCEPTED_FOR - DAY, ACCEPTED_FOR + DAY):
        prune(kept, now + later)
        with own_database.transaction() as connection:
            new.append(insert_taps(connection, [tap], now))

    assert (first, new) == ({tap}, [set(), {tap}])
