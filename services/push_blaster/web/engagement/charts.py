"""The geometry of charts, which templates/parts/charts.html draws as SVG.

A picture is 1000 wide and 100 high, and stretches with the page. Its labels are HTML beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log, log10
from typing import Final, NamedTuple

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
#: The part of its place that a bar leaves free, and the smallest height that can be seen.
_GAP: Final = 0.25
_SEEN: Final = 1.5
#: How far an axis of ratios goes to both sides of "equally often".
_REACHES: Final = (1.25, 1.5, 2.0, 4.0, 8.0)
_STEPS: Final = (1, 2, 5, 10)


class Bar(NamedTuple):
    """A bar from the ground upwards, and the part of it that is coloured."""

    left: float
    width: float
    whole: float
    part: float


class Tick(NamedTuple):
    """A place on an axis, and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars side by side; `top` is the number at the upper edge of the picture."""

    bars: Sequence[Bar]
    top: int


@dataclass(frozen=True, slots=True)
class LineChart:
    """A line with gaps; `top` is the share at the upper edge of the picture.

    Shape: a day between gaps is no line but a point.
    """

    lines: Sequence[str]
    points: Sequence[tuple[float, float]]
    top: float


class Interval(NamedTuple):
    """A ratio with its interval; without an upper bound, `high` is None."""

    low: float
    ratio: float | None
    high: float | None


class Whisker(NamedTuple):
    """An interval on an axis of ratios; `dot` is the place of the ratio itself.

    An end that `is_cut` goes on beyond the edge of the picture.
    """

    left: float
    right: float
    dot: float | None
    is_cut_left: bool
    is_cut_right: bool


@dataclass(frozen=True, slots=True)
class RatioChart:
    """Intervals under one another, on one axis with "equally often" in its middle."""

    whiskers: Sequence[Whisker]
    ticks: Sequence[Tick]


def chart_bars(counts: Sequence[tuple[int, int]]) -> BarChart:
    """Return a bar for each whole and its part."""
    top = find_top(max((whole for whole, _ in counts), default=0))
    place = WIDTH / max(1, len(counts))
    bars = [
        Bar(
            round((n + _GAP / 2) * place, 2),
            round(place * (1 - _GAP), 2),
            _height(whole, top),
            _height(min(part, whole), top),
        )
        for n, (whole, part) in enumerate(counts)
    ]
    return BarChart(bars, top)


def chart_shares(shares: Sequence[float | None]) -> LineChart:
    """Return a line through shares from 0 to 1; nothing is drawn where a share is None."""
    largest = max((share for share in shares if share is not None), default=0.0)
    top = min(1.0, find_top(ceil(largest * 1000)) / 1000)
    place = WIDTH / max(1, len(shares))
    points = [
        None if one is None else (round((n + 0.5) * place, 2), round((1 - one / top) * HEIGHT, 2))
        for n, one in enumerate(shares)
    ]
    runs = [[one for one in run if one] for _, run in groupby(points, lambda one: one is None)]
    return LineChart(
        [" ".join(f"{x:g},{y:g}" for x, y in run) for run in runs if len(run) > 1],
        [run[0] for run in runs if len(run) == 1],
        top,
    )


def chart_ratios(intervals: Sequence[Interval]) -> RatioChart:
    """Return intervals on an axis that is as long as they need, up to a limit."""
    ends = [end for one in intervals for end in (one.low, one.ratio, one.high) if end]
    furthest = max((max(end, 1 / end) for end in ends), default=1.0)
    reach = next((one for one in _REACHES if one >= furthest), _REACHES[-1])
    ticks = [
        Tick(0.0, f"{1 / reach:.2g} times as often"),
        Tick(WIDTH / 2, "equally often"),
        Tick(WIDTH, f"{reach:g} times as often"),
    ]
    return RatioChart([_place_interval(one, reach) for one in intervals], ticks)


def find_top(largest: int) -> int:
    """Return the round number at the top of an axis that ends no lower than `largest`."""
    if largest <= 1:
        return 1
    unit = int(10 ** floor(log10(largest)))
    return next(step * unit for step in _STEPS if step * unit >= largest)


def _height(count: int, top: int) -> float:
    return max(round(count / top * HEIGHT, 2), _SEEN) if count > 0 else 0.0


def _place_interval(one: Interval, reach: float) -> Whisker:
    return Whisker(
        _place_ratio(one.low, reach),
        WIDTH if one.high is None else _place_ratio(one.high, reach),
        None if one.ratio is None else _place_ratio(one.ratio, reach),
        is_cut_left=one.low < 1 / reach,
        is_cut_right=one.high is None or one.high > reach,
    )


def _place_ratio(ratio: float, reach: float) -> float:
    """Return the place of a ratio: twice as often and half as often are equally far from 1."""
    if ratio <= 1 / reach:
        return 0.0
    return round(min(WIDTH, WIDTH / 2 * (1 + log(ratio) / log(reach))), 2)
