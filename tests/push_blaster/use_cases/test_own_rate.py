"""An automation with a rate of its own sends no faster, whoever sends its batches."""

import time

import pytest

from push_blaster.adapters.batch_table import hand_out_batches
from push_blaster.domain.modes import Mode
from push_blaster.domain.phase import Phase
from push_blaster.use_cases.advance_execution import advance_execution
from tests.journeys.stack import user
from tests.push_blaster.use_cases.conftest import Bench
from tests.push_blaster.use_cases.test_run import messages


def begin(bench: Bench, **settings: object) -> str:
    """Return an execution whose three batches wait to be handed out."""
    execution_id = bench.start(parameters={"users": 60}, settings=settings)
    while not bench.execution(execution_id).pushes[0].started_at:
        advance_execution(bench.parts, execution_id)
    return execution_id


def hand_out(bench: Bench) -> list[int]:
    with bench.database.transaction() as connection:
        found = hand_out_batches(connection, bench.now, bench.now, 64)
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


def test_messages_go_at_the_automation_s_own_rate(bench: Bench) -> None:
    execution_id = begin(bench, ratePerMinute=6_000)
    begun = time.monotonic()

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert time.monotonic() - begun >= 0.6, "60 messages at 100 a second"
    assert sorted(m["userId"] for m in messages(bench)) == [user(n) for n in range(1, 61)]


def test_a_dry_run_waits_for_no_rate(bench: Bench) -> None:
    begun = time.monotonic()

    execution = bench.run(bench.start(Mode.REAL_DRY_RUN, settings={"ratePerMinute": 60}))

    assert execution.phase is Phase.COMPLETED
    assert time.monotonic() - begun < 10, "10 messages at 1 a second"
