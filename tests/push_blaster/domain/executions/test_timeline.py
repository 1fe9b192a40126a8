"""Which step is due, by plain values."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from push_blaster.domain.automations.experiment import Experiment
from push_blaster.domain.executions.execution import PushProgress, PushStatus, execution_id
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import ENDED, Phase
from push_blaster.domain.executions.timeline import (
    Step,
    find_due_step,
    find_next_step,
    live_instant,
    plan_execution,
    plan_pushes,
)
from tests.builders import NOON, a_push, an_automation, an_execution

T = NOON + timedelta(minutes=30)
SECOND = timedelta(seconds=1)


def test_it_waits_for_its_lead_time() -> None:
    execution = an_execution(phase=Phase.WAITING, begins_at=NOON)

    assert find_due_step(execution, NOON - SECOND) is None
    assert find_due_step(execution, NOON) is Step.BEGIN


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        (Phase.AUDIENCE_GENERATION, Step.GENERATE_AUDIENCE),
        (Phase.TEST_SENDING, Step.SEND_TEST),
    ],
)
def test_audience_and_test_follow_at_once(phase: Phase, step: Step) -> None:
    assert find_due_step(an_execution(phase=phase), NOON) is step


def test_live_is_never_before_t_nor_before_a_whole_window() -> None:
    window = timedelta(minutes=25)

    assert live_instant(T, T - timedelta(minutes=28), window) == T
    assert live_instant(T, T - timedelta(minutes=5), window) == T + timedelta(minutes=20)


def test_the_window_ends_when_live_may_begin() -> None:
    execution = an_execution(phase=Phase.CANCELLATION_WINDOW, live_at=T)

    assert find_due_step(execution, T - SECOND) is None
    assert find_due_step(execution, T) is Step.GO_LIVE


def test_pushes_go_out_one_after_the_other_each_at_its_own_instant() -> None:
    first = PushProgress(position=1, status=PushStatus.SENT, due_at=T, started_at=T, ended_at=T)
    second = PushProgress(position=2, status=PushStatus.TEST_SENT, due_at=T + SECOND)
    live = an_execution(phase=Phase.LIVE_EXECUTION, pushes=(first, second))

    assert find_due_step(live, T) is None
    assert find_due_step(live, T + SECOND) is Step.START_PUSH
    sending = replace(second, started_at=T + SECOND, status=PushStatus.SENDING)
    assert find_due_step(replace(live, pushes=(first, sending)), T + SECOND) is Step.WATCH_PUSH
    ended = replace(sending, ended_at=T + SECOND)
    assert find_due_step(replace(live, pushes=(first, ended)), T + SECOND) is Step.COMPLETE


@pytest.mark.parametrize("phase", sorted(ENDED))
def test_nothing_follows_an_end(phase: Phase) -> None:
    assert find_next_step(an_execution(phase=phase), T) is None


def test_delays_add_up_and_an_absolute_time_is_of_the_live_day_in_the_zone() -> None:
    pushes = [
        a_push(),
        a_push(delay=timedelta(minutes=5)),
        a_push(absolute_time=time(15, 0)),
        a_push(absolute_time=datetime(2026, 11, 24, 16, 0, tzinfo=UTC)),
        a_push(absolute_time=time(9, 0)),
        a_push(delay=timedelta(minutes=1)),
    ]

    planned = plan_pushes(pushes, T, "Europe/Berlin")

    four = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)
    assert planned == [
        T,
        T + timedelta(minutes=5),
        datetime(2026, 11, 24, 14, 0, tzinfo=UTC),
        four,
        four,
        four + timedelta(minutes=1),
    ]


def test_the_same_slot_is_the_same_execution_in_every_zone() -> None:
    east = T.astimezone()

    assert execution_id("news", T) == execution_id("news", east) == "news@20261124T123000Z"
    assert execution_id("news", T + timedelta(microseconds=5)) == "news@20261124T123000.000005Z"


@pytest.mark.parametrize(
    ("live_at", "wall", "expected"),
    [
        (
            datetime(2027, 3, 28, 0, 0, tzinfo=UTC),
            time(2, 30),
            datetime(2027, 3, 28, 1, tzinfo=UTC),
        ),
        (
            datetime(2026, 10, 24, 23, 0, tzinfo=UTC),
            time(2, 30),
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        ),
        (datetime(2027, 3, 28, 0, 0, tzinfo=UTC), time(9), datetime(2027, 3, 28, 7, tzinfo=UTC)),
    ],
    ids=["left out: after the gap", "comes twice: the first", "after the change: the new offset"],
)
def test_an_absolute_time_is_a_wall_time_whatever_the_clocks_do(
    live_at: datetime, wall: time, expected: datetime
) -> None:
    pushes = [a_push(), a_push(absolute_time=wall)]

    assert plan_pushes(pushes, live_at, "Europe/Berlin") == [live_at, expected]


def test_a_push_after_an_experiment_waits_for_its_decision() -> None:
    hour = timedelta(hours=1)
    experiment = Experiment(test_percent=20, decide_after=hour)
    pushes = [
        a_push(experiment=experiment),
        a_push(delay=timedelta(minutes=5), experiment=experiment),
        a_push(absolute_time=T + hour),
    ]

    planned = plan_pushes(pushes, T, "UTC")

    second = T + timedelta(minutes=65)
    assert planned == [T, second, second + hour]


@pytest.mark.parametrize("mode", sorted(set(Mode) - {Mode.LIVE}))
def test_an_execution_that_is_not_live_waits_for_no_winner(mode: Mode) -> None:
    pushes = (a_push(experiment=Experiment(test_percent=20)), a_push())
    execution = an_execution(mode=mode, slot=T, automation=an_automation(pushes=pushes))

    assert plan_execution(execution) == [T, T]
    assert plan_execution(replace(execution, mode=Mode.LIVE)) == [T, T + timedelta(hours=1)]
