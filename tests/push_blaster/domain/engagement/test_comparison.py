"""What two groups' counts say, in figures and in terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.domain.engagement.comparison import (
    ComparisonVerdict,
    Stratum,
    compare,
    count_pairs,
    find_events_needed,
)
from push_blaster.domain.engagement.sentences import UPLIFT, Words

CLEAR = Stratum(10_000, 1_000, 10_000, 1_200)


def test_a_clear_difference_is_told_as_an_interval() -> None:
    comparison = compare([CLEAR])

    assert comparison.verdict is ComparisonVerdict.MORE
    assert comparison.sentence == "B is opened 5 to 37 % more often than A so far"
    assert comparison.low == pytest.approx(1.049, abs=0.001)
    assert comparison.high == pytest.approx(1.374, abs=0.001)


def test_the_other_direction_is_told_as_less() -> None:
    comparison = compare([Stratum(10_000, 1_200, 10_000, 1_000, is_open=False)])

    assert comparison.verdict is ComparisonVerdict.LESS
    assert comparison.sentence == "B is opened 5 to 27 % less often than A"


def test_too_few_events_say_how_many_more_users_it_takes() -> None:
    comparison = compare([Stratum(3_000, 300, 3_000, 360)])

    assert comparison.verdict is ComparisonVerdict.TOO_EARLY
    assert comparison.sentence == "Too early to tell: about 4,100 more users"
    assert comparison.users_needed == pytest.approx(4_100, abs=50)


def test_ten_against_twelve_percent_takes_a_thousand_events() -> None:
    gain = 0.00414  # what one event adds, at 10 % against 12 %

    assert find_events_needed(gain) == pytest.approx(1_017, rel=0.01)


def test_the_users_needed_become_fewer_as_events_come() -> None:
    needed = [
        compare([Stratum(n, n // 10, n, n * 12 // 100)]).users_needed or 0
        for n in (500, 1_000, 2_000, 4_000)
    ]

    assert needed == sorted(needed, reverse=True)


@pytest.mark.parametrize(
    ("strata", "sentence"),
    [
        ([], "Nothing to compare: no users yet"),
        ([Stratum(0, 0, 0, 0)], "Nothing to compare: no users yet"),
        ([Stratum(0, 0, 100, 10)], "Nothing to compare: A has no users yet"),
        ([Stratum(100, 10, 0, 0)], "Nothing to compare: B has no users yet"),
    ],
)
def test_a_group_without_users_is_named(strata: list[Stratum], sentence: str) -> None:
    comparison = compare(strata)

    assert (comparison.verdict, comparison.sentence) == (ComparisonVerdict.NOTHING, sentence)
    assert (comparison.ratio, comparison.low, comparison.high) == (None, None, None)


def test_a_holdout_of_everybody_leaves_nothing_to_compare() -> None:
    comparison = compare([Stratum(10_000, 300, 0, 0)], UPLIFT)

    assert comparison.sentence == (
        "Nothing to compare: the group that was offered the push has no users yet"
    )


def test_no_events_at_all_is_too_early() -> None:
    comparison = compare([Stratum(100, 0, 100, 0)])

    assert comparison.sentence == "Too early to tell: nothing counted so far"
    assert (comparison.ratio, comparison.low, comparison.high) == (None, 0.0, None)


def test_a_group_without_events_has_a_bound_on_one_side() -> None:
    without_b = compare([Stratum(1_000, 200, 1_000, 0)])
    without_a = compare([Stratum(1_000, 0, 1_000, 200)])

    assert without_b.sentence == "B is opened at least 59 % less often than A so far"
    assert (without_b.ratio, without_b.low) == (0.0, 0.0)
    assert without_a.sentence == "B is opened at least 2.4 times as often as A so far"
    assert (without_a.ratio, without_a.high) == (None, None)


def test_groups_that_are_surely_alike_are_told_so() -> None:
    comparison = compare([Stratum(10**6, 10**5, 10**6, 10**5)])

    assert comparison.verdict is ComparisonVerdict.ALIKE
    assert comparison.sentence == "B and A do equally well so far: the difference is at most 2 %"


def test_a_great_difference_is_told_in_times() -> None:
    comparison = compare([Stratum(10_000, 100, 10_000, 400, is_open=False)])

    assert comparison.sentence == "B is opened 2.0 to 8.9 times as often as A"


def test_many_opens_at_the_end_get_the_ordinary_interval() -> None:
    at_the_end = compare([Stratum(1_000, 700, 1_000, 790, is_open=False)])
    so_far = compare([Stratum(1_000, 700, 1_000, 790)])

    assert at_the_end.is_fixed
    assert at_the_end.sentence == "B is opened 7 to 19 % more often than A"
    assert (so_far.is_fixed, so_far.is_so_far) == (False, True)


def test_many_opens_without_a_difference_are_told_as_a_range() -> None:
    comparison = compare([Stratum(1_000, 700, 1_000, 710, is_open=False)])

    assert comparison.sentence == (
        "No sure difference: B is opened between 4 % less often and 7 % more often than A"
    )


def test_executions_of_one_kind_add_up() -> None:
    alone = compare([Stratum(3_000, 300, 3_000, 360)])
    together = compare([Stratum(3_000, 300, 3_000, 360, is_open=False)] * 4)

    assert (alone.verdict, together.verdict) == (
        ComparisonVerdict.TOO_EARLY,
        ComparisonVerdict.MORE,
    )
    assert not together.is_so_far


def test_executions_with_other_splits_are_not_mixed_up() -> None:
    """All rates are equal within an execution; the pooled counts would say 2.3 times as often."""
    strata = [Stratum(9_000, 900, 1_000, 100), Stratum(1_000, 500, 9_000, 4_500)]

    comparison = compare(strata)

    assert comparison.ratio == pytest.approx(1.0)
    assert comparison.verdict is not ComparisonVerdict.MORE


def test_an_execution_without_one_group_says_nothing() -> None:
    assert compare([CLEAR, Stratum(500, 400, 0, 0)]) == compare([CLEAR])


def test_more_pairs_ask_for_more_evidence() -> None:
    one = compare([Stratum(10_000, 1_000, 10_000, 1_170)])
    ten = compare([Stratum(10_000, 1_000, 10_000, 1_170)], pairs=count_pairs(5))

    assert (one.verdict, ten.verdict) == (ComparisonVerdict.MORE, ComparisonVerdict.TOO_EARLY)
    assert count_pairs(5) == 10


def test_the_uplift_of_a_small_holdout_is_told_in_its_words() -> None:
    comparison = compare([Stratum(5_000, 100, 95_000, 3_000)], UPLIFT)

    assert comparison.sentence.startswith("The group that was offered the push reaches the goal")
    assert comparison.sentence.endswith(" 1.2 to 2.2 times as often as the holdout so far")


def test_names_of_groups_are_told_as_they_are() -> None:
    sentence = compare([CLEAR], Words("control", "short", "leads to the goal")).sentence

    assert sentence == "short leads to the goal 5 to 37 % more often than control so far"


@pytest.mark.parametrize("executions", [1, 3])
@pytest.mark.parametrize("size", [1, 10**6, 10**10])
def test_huge_counts_keep_their_figures(executions: int, size: int) -> None:
    comparison = compare([Stratum(100 * size, 10 * size, 100 * size, 20 * size)] * executions)

    assert comparison.ratio == pytest.approx(2.0)
    assert comparison.low is not None
    assert comparison.high is not None
    assert comparison.low < 2.0 < comparison.high
    if size > 1:
        assert comparison.high - comparison.low == pytest.approx(0, abs=0.03)


COUNT = st.one_of(st.integers(0, 20), st.integers(0, 10**12))
STRATA = st.lists(st.builds(Stratum, COUNT, COUNT, COUNT, COUNT, st.booleans()), max_size=4)


@given(STRATA, st.integers(0, 50))
def test_any_counts_give_an_interval_around_the_ratio(strata: list[Stratum], pairs: int) -> None:
    comparison = compare(strata, pairs=pairs)

    assert comparison.sentence
    if comparison.verdict is ComparisonVerdict.NOTHING:
        return
    assert comparison.low is not None
    ratio = comparison.low if comparison.ratio is None else comparison.ratio
    assert 0 <= comparison.low <= ratio * (1 + 1e-6)
    assert comparison.high is None or comparison.high >= ratio * (1 - 1e-6)


@given(STRATA)
def test_exchanging_the_groups_turns_the_verdict(strata: list[Stratum]) -> None:
    turned = [Stratum(s.users_b, s.events_b, s.users_a, s.events_a, s.is_open) for s in strata]
    opposite = {
        ComparisonVerdict.MORE: ComparisonVerdict.LESS,
        ComparisonVerdict.LESS: ComparisonVerdict.MORE,
    }

    verdict = compare(strata).verdict

    assert compare(turned).verdict is opposite.get(verdict, verdict)
