"""Phases on an axis of time: in proportion, all to be seen, with now among them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from push_blaster.domain.executions.phase import Phase
from push_blaster.web.executions.phase_axis import Axis, lay_out
from tests.builders import NOON, an_execution

MINUTE = timedelta(minutes=1)
PHASES = [
    (Phase.WAITING, NOON),
    (Phase.AUDIENCE_GENERATION, NOON + MINUTE),
    (Phase.CANCELLATION_WINDOW, NOON + MINUTE * 4),
]


def widths(axis: Axis) -> list[float]:
    return [one.width for one in axis.stretches]


def test_what_is_planned_is_on_the_axis_and_now_is_within_it() -> None:
    execution = an_execution(phase=Phase.CANCELLATION_WINDOW, live_at=NOON + MINUTE * 10)

    axis = lay_out(PHASES, execution, NOON + MINUTE * 7)

    assert widths(axis) == [100, 300, 600]
    assert [one.left for one in axis.stretches] == [0, 100, 400]
    assert axis.now == 700


def test_an_end_is_a_point_and_what_was_short_can_be_seen() -> None:
    ended_at = NOON + MINUTE * 4 + timedelta(hours=9)
    execution = replace(an_execution(phase=Phase.COMPLETED), ended_at=ended_at)

    axis = lay_out([*PHASES, (Phase.COMPLETED, ended_at)], execution, ended_at + MINUTE)

    assert widths(axis)[0] == pytest.approx(12, abs=0.5)
    assert widths(axis)[3] == 0
    assert sum(widths(axis)) == pytest.approx(1000, abs=0.5)
    assert axis.now is None


def test_what_has_only_begun_has_an_axis() -> None:
    execution = an_execution(phase=Phase.LIVE_EXECUTION)

    assert widths(lay_out([(Phase.LIVE_EXECUTION, NOON)], execution, NOON)) == [1000]
    assert lay_out([], execution, NOON).stretches == ()
