"""The sentences of the fatigue curve, and of what a cap costs and saves."""

from datetime import timedelta

import pytest

from push_blaster.domain.engagement.comparison import ComparisonVerdict
from push_blaster.domain.engagement.fatigue import RelativeRate
from push_blaster.domain.engagement.fatigue_curve import (
    FEW_EVENTS,
    describe_capped,
    describe_levels,
    say_cap,
    say_curve,
)

FOUR_WEEKS = timedelta(days=28)
LESS = RelativeRate(0.5, 0.45, 0.55, 1_000, 900)
MORE = RelativeRate(3.0, 2.5, 3.5, 1_000, 900)


@pytest.mark.parametrize(
    ("rate", "verdict", "sentence"),
    [
        (LESS, "less", "These pushes are opened 45 to 55 % less often than the other pushes"),
        (MORE, "more", "These pushes are opened 2.5 to 3.5 times as often as the other pushes"),
        (RelativeRate(1.01, 0.98, 1.04, 9, 900), "alike", "equally well: the difference is at"),
        (RelativeRate(0.9, 0.7, 1.2, 9, 90), "too_early", "No sure difference: these pushes are"),
        (RelativeRate(0.5, 0.4, 0.6, 9, FEW_EVENTS - 1), "too_early", "Too early to tell: 29 to"),
        (None, "too_early", "Too early to tell: nothing to compare so far"),
    ],
)
def test_capped_pushes_are_compared_in_words(
    rate: RelativeRate | None, verdict: str, sentence: str
) -> None:
    found = describe_capped(rate)

    assert found.verdict is ComparisonVerdict(verdict)
    assert sentence in found.sentence


@pytest.mark.parametrize(
    ("fewer", "start"),
    [
        (49_200, "These rules would have capped about 12,300 more pushes a week. These pushes are"),
        (49_299, "These rules would have capped about 12,300 more pushes a week. These pushes are"),
        (4, "These rules would have capped about 1 more push a week. These pushes are opened"),
        (3, "These rules would have capped less than one more push a week. These pushes are"),
        (0, "These rules would have capped as many pushes as the rules in force."),
        (-40, "These rules would have capped about 10 fewer pushes a week."),
    ],
)
def test_a_cap_is_told_by_the_week(fewer: int, start: str) -> None:
    said = say_cap(fewer, FOUR_WEEKS, describe_capped(LESS))

    assert said.startswith(start)
    assert said.endswith(".")
    assert ("to the same users" in said) == (fewer > 0)


def test_levels_are_compared_with_the_first_push() -> None:
    counts = {1: (1_000, 100, 3), 2: (800, 90, 2), 6: (50, 20, 4)}

    levels = describe_levels(counts, {2: LESS, 6: MORE}, {6: MORE})

    assert [one.level for one in levels] == [1, 2, 3, 4, 5, 6]
    assert levels[0].opening is levels[0].opting_out is None
    assert (levels[1].open_rate, levels[2].open_rate) == (90 / 800, None)
    said = [one.opening.sentence for one in levels if one.opening]
    assert said[0] == (
        "The second push in 7 days is opened 45 to 55 % less often than the first push in 7 days"
    )
    assert said[-1].startswith("The sixth push in 7 days or a later one is opened 2.5 to 3.5 times")
    assert say_curve(levels) == said[-1]


def test_a_curve_without_a_sure_level_says_that_it_is_too_early() -> None:
    nothing = describe_levels({}, {}, {})
    little = describe_levels({1: (9, 1, 0), 2: (3, 0, 0)}, {}, {})

    assert say_curve(nothing).endswith("the first figures come 8 days after the first live push")
    assert say_curve(little).startswith("Too early to tell: there are too few users")
