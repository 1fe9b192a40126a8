"""Charts: the geometry of what pages draw."""

from itertools import pairwise
from math import inf

import pytest

from push_blaster.web.engagement.charts import (
    Interval,
    chart_bars,
    chart_ratios,
    chart_shares,
    find_top,
)


@pytest.mark.parametrize(
    ("largest", "top"),
    [
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 5),
        (5, 5),
        (6, 10),
        (11, 20),
        (999, 1000),
        (10**12 + 1, 2 * 10**12),
    ],
)
def test_an_axis_ends_at_a_round_number(largest: int, top: int) -> None:
    assert find_top(largest) == top


def test_bars_stand_side_by_side_in_proportion() -> None:
    chart = chart_bars([(100, 25), (50, 0), (0, 0)])

    assert [(bar.whole, bar.part) for bar in chart.bars] == [(100, 25), (50, 0), (0, 0)]
    ends = [(bar.left, bar.left + bar.width) for bar in chart.bars]
    assert all(end < begin for (_, end), (begin, _) in pairwise(ends))
    assert ends[-1][1] < 1000


def test_few_users_beside_very_many_can_be_seen() -> None:
    chart = chart_bars([(10**12, 1), (3, 3)])

    assert chart.bars[1].whole == chart.bars[1].part == chart.bars[0].part == 1.5


def test_more_events_than_messages_stay_inside_their_bar() -> None:
    (bar,) = chart_bars([(2, 5)]).bars

    assert bar.part == bar.whole


def test_nothing_makes_an_empty_chart() -> None:
    assert chart_bars([]).bars == []
    assert chart_shares([]).lines == chart_shares([None, None]).lines == []
    assert chart_shares([None]).points == []
    assert chart_ratios([]).whiskers == []


def test_a_line_has_a_gap_where_nothing_was_sent_and_a_dot_for_a_day_alone() -> None:
    chart = chart_shares([0.1, 0.2, None, 0.0])

    assert chart.top == 0.2
    assert chart.lines == ["125,50 375,0"]
    assert chart.points == [(875, 100)]


def test_a_share_of_one_is_the_top_of_the_picture() -> None:
    assert chart_shares([1.0, 1.0]).top == 1.0


def test_equally_often_is_in_the_middle_and_both_sides_are_alike() -> None:
    chart = chart_ratios([Interval(0.5, 1.0, 2.0)])

    (whisker,) = chart.whiskers
    assert (whisker.left, whisker.dot, whisker.right) == (0, 500, 1000)
    assert (whisker.is_cut_left, whisker.is_cut_right) == (False, False)
    assert [tick.label for tick in chart.ticks][::2] == ["0.5 times as often", "2 times as often"]


@pytest.mark.parametrize(
    ("interval", "cut"),
    [
        (Interval(0.0, 0.0, 1.2), (True, False)),
        (Interval(0.9, None, None), (False, True)),
        (Interval(0.0, None, None), (True, True)),
        (Interval(1.1, 50.0, 900.0), (False, True)),
        (Interval(1e-9, 1.0, inf), (True, True)),
    ],
)
def test_an_end_beyond_the_picture_is_cut(interval: Interval, cut: tuple[bool, bool]) -> None:
    (whisker,) = chart_ratios([interval]).whiskers

    assert (whisker.is_cut_left, whisker.is_cut_right) == cut
    assert 0 <= whisker.left <= whisker.right <= 1000
