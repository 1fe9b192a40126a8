"""The phases of an execution on a time axis, with the planned end of the present phase."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.phase import BEFORE_LIVE, Phase

#: The width of the axis, and the smallest width of a phase.
WIDTH: Final = 1000.0
MIN_WIDTH: Final = 12.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """One phase on the axis; the end of an execution is a stretch without length or width."""

    phase: Phase
    began: datetime
    length: timedelta
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Axis:
    """The phases in order, and the place of the present instant, if it is on the axis."""

    stretches: tuple[Stretch, ...]
    now: float | None


def lay_out(phases: Sequence[tuple[Phase, datetime]], execution: Execution, now: datetime) -> Axis:
    """Return the axis of the phases that were entered; the present phase lasts as planned."""
    if not phases:
        return Axis((), None)
    ends = _find_end(execution, now)
    begins = [at for _, at in phases]
    lengths = [max(b - a, timedelta()) for a, b in pairwise([*begins, max(ends, begins[-1])])]
    widths = _share_width(lengths)
    stretches = tuple(
        Stretch(phase, at, length, round(sum(widths[:n]), 1), round(widths[n], 1))
        for n, ((phase, at), length) in enumerate(zip(phases, lengths, strict=True))
    )
    return Axis(stretches, None if execution.has_ended else _place_now(stretches[-1], now))


def _find_end(execution: Execution, now: datetime) -> datetime:
    """Return the end of the axis: the execution's end, or the planned end of the present phase."""
    if execution.ended_at:
        return execution.ended_at
    planned = (execution.live_at or execution.slot) if execution.phase in BEFORE_LIVE else now
    return max(planned, now)


def _share_width(lengths: Sequence[timedelta]) -> list[float]:
    """Return widths in proportion to time; every phase that lasted is wide enough to be seen."""
    whole = sum(lengths, timedelta())
    if not whole:
        return [WIDTH / len(lengths)] * len(lengths)
    wanted = [max(length / whole * WIDTH, MIN_WIDTH) if length else 0.0 for length in lengths]
    return [width * WIDTH / sum(wanted) for width in wanted]


def _place_now(present: Stretch, now: datetime) -> float:
    passed = (now - present.began) / present.length if present.length else 1.0
    return round(present.left + present.width * min(1.0, max(0.0, passed)), 1)
