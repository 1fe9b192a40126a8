"""A step that takes long is not begun a second time while it runs."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.steps_in_hand import KEEP_FOR_S, StepsInHand
from tests.push_blaster.bench import Bench

AGAIN = timedelta(seconds=5)
PASSED = timedelta(seconds=3)


class Desk:
    """An engine that looks at what is due, every three seconds."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.begun_at = bench.now
        self.steps = StepsInHand(lambda: (bench.now - self.begun_at).total_seconds())

    def look(self) -> list[str]:
        self.bench.now += PASSED
        self.steps.keep(self.bench.database, self.bench.now)
        return self.dispatch()

    def dispatch(self) -> list[str]:
        now = self.bench.now
        with self.bench.database.transaction() as connection:
            return dispatch_executions(connection, now, now - AGAIN)


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench)


def test_a_step_that_runs_is_not_dispatched_again(bench: Bench, desk: Desk) -> None:
    started = bench.start()
    assert desk.dispatch() == [started]

    with desk.steps.hold(started) as is_free:
        assert is_free
        assert [desk.look() for _ in range(5)] == [[]] * 5

    assert desk.look() == []
    assert desk.look() == [started], "it ended without a result, as where the database was away"


def test_the_next_step_waits_for_the_end_of_the_last_one(desk: Desk) -> None:
    def take() -> bool:
        with desk.steps.hold("one") as is_free:
            return is_free

    with ThreadPoolExecutor(1) as worker:
        with desk.steps.hold("one"):
            next_one = worker.submit(take)
            time.sleep(0.05)
        assert next_one.result()


def test_two_workers_of_an_engine_never_run_the_same_step(bench: Bench, desk: Desk) -> None:
    with desk.steps.hold("one") as first, desk.steps.hold("one") as second:
        assert (first, second) == (True, False)
        with desk.steps.hold("one") as third, desk.steps.hold("two") as another:
            assert (third, another) == (False, True)
    with desk.steps.hold("one") as later:
        assert later


def test_the_step_after_it_is_dispatched_at_once(bench: Bench, desk: Desk) -> None:
    started = bench.start()
    assert desk.dispatch() == [started]

    with desk.steps.hold(started):
        assert desk.look() == []
        bench.now += PASSED
        advance_execution(bench.context, started)
        assert bench.execution(started).phase is Phase.AUDIENCE_GENERATION
        desk.steps.keep(bench.database, bench.now)
        assert desk.dispatch() == [started]


def test_a_step_that_hangs_is_left_to_others_in_the_end(bench: Bench, desk: Desk) -> None:
    started = bench.start()
    assert desk.dispatch() == [started]

    with desk.steps.hold(started):
        bench.now += timedelta(seconds=KEEP_FOR_S)
        assert desk.look() == [started]


def test_a_locked_row_makes_no_engine_wait(bench: Bench, desk: Desk) -> None:
    started = bench.start()
    assert desk.dispatch() == [started]

    with desk.steps.hold(started), bench.database.transaction() as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM executions WHERE id = %s FOR UPDATE", (started,))
        assert desk.look() == []
