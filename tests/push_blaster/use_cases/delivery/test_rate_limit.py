"""An automation with a rate of its own sends no faster, whoever sends its batches."""

import time
from datetime import datetime, timedelta

import pytest

from chassis.postgres import BulkDatabase
from push_blaster.adapters.delivery.batch_table import dispatch_batches
from push_blaster.domain.delivery.rate_limit import messages_a_turn, rest_after
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.advance_execution import advance_execution
from tests.builders import NOON
from tests.journeys.stack import user
from tests.push_blaster.bench import Bench, messages


def begin(bench: Bench, **settings: object) -> str:
    """Return an execution whose three batches wait to be handed out."""
    execution_id = bench.start(parameters={"users": 60}, settings=settings)
    while not bench.execution(execution_id).pushes[0].started_at:
        advance_execution(bench.context, execution_id)
    return execution_id


def hand_out(bench: Bench) -> list[int]:
    with bench.database.transaction() as connection:
        found = dispatch_batches(connection, bench.now, bench.now, 64)
    return [batch for _, _, batch in found]


@pytest.mark.parametrize(
    ("settings", "out"),
    [({}, 3), ({"ratePerMinute": 60_000}, 1), ({"ratePerMinute": 60_001}, 2)],
)
def test_only_so_many_batches_are_out_as_share_the_rate(
    bench: Bench, settings: dict[str, int], out: int
) -> None:
    begin(bench, **settings)

    first, again = hand_out(bench), hand_out(bench)

    assert len(first) == out
    assert again == [], "the others wait for their turn"


def test_a_batch_rests_between_its_turns_and_no_other_goes_before_it(bench: Bench) -> None:
    execution_id = begin(bench, ratePerMinute=60)
    begun_at, sent = bench.now, []

    for seconds in (0, 9, 10, 20, 30):
        bench.now = begun_at + timedelta(seconds=seconds)
        bench.work()
        sent.append(len(messages(bench)))

    assert sent == [10, 10, 20, 30, 40], "one a second, ten at a time"
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert bench.now - begun_at >= timedelta(seconds=60)
    assert sorted(m["userId"] for m in messages(bench)) == [user(n) for n in range(1, 61)]


def test_the_slots_of_a_batch_that_rests_are_held_longer(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    def held_until() -> datetime:
        with cadence_database.transaction() as connection:
            row = connection.execute("SELECT max(expires_at) FROM reservations").fetchone()
        return row[0] if row else NOON

    begin(bench, ratePerMinute=60)
    bench.work()
    first = held_until()
    bench.now += timedelta(seconds=10)
    bench.work()

    assert held_until() > first


@pytest.mark.parametrize(
    ("rate", "messages_each", "rest"),
    [(1, 1, 60), (6, 1, 10), (60, 10, 10), (60_000, 10_000, 10), (90_000, 7_500, 10)],
)
def test_a_turn_is_ten_seconds_worth_or_one_message(
    rate: int, messages_each: int, rest: int
) -> None:
    assert messages_a_turn(rate) == messages_each
    assert rest_after(rate, messages_each) == timedelta(seconds=rest)


def test_a_dry_run_waits_for_no_rate(bench: Bench) -> None:
    begun = time.monotonic()

    execution = bench.run(bench.start(Mode.REAL_DRY_RUN, settings={"ratePerMinute": 60}))

    assert execution.phase is Phase.COMPLETED
    assert time.monotonic() - begun < 10, "10 messages at 1 a second"
