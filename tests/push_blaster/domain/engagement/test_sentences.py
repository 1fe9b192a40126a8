"""Sentences about differences that are just sure, and about very great ones."""

import pytest

from push_blaster.domain.engagement.sentences import (
    Words,
    round_count,
    say_alike,
    say_less,
    say_more,
    say_unsure,
)

AB = Words()


@pytest.mark.parametrize(
    ("low", "high", "amount"),
    [
        (1.00001, 1.21, "0.1 to 21 % more often than"),
        (1.004, 1.009, "0.4 to 0.9 % more often than"),
        (1.079, 1.081, "about 8 % more often than"),
        (1.0004, 2.5, "1.001 to 2.5 times as often as"),
        (1.0004, None, "at least 1.001 times as often as"),
        (2.31, 2.34, "about 2.3 times as often as"),
        (12.4, 99.0, "12 to 99 times as often as"),
        (12.4, 1_234_567.0, "at least 12 times as often as"),
        (1.05, 101.0, "at least 1.05 times as often as"),
        (86_000.0, 1_234_567.0, "at least 100 times as often as"),
        (86_000.0, None, "at least 100 times as often as"),
    ],
)
def test_a_sure_advantage_never_looks_like_none(
    low: float, high: float | None, amount: str
) -> None:
    assert say_more(AB, low, high) == f"B is opened {amount} A"


@pytest.mark.parametrize(
    ("low", "high", "amount"),
    [
        (0.0, 0.99999, "at least 0.1 %"),
        (0.0, 0.2, "at least 80 %"),
        (0.5, 0.99999, "0.1 to 50 %"),
        (0.001, 0.003, "at least 99.7 %"),
        (0.004, 0.5, "at least 50 %"),
        (0.01, 0.5, "50 to 99 %"),
        (1e-9, 1e-6, "at least 99.9 %"),
    ],
)
def test_a_sure_disadvantage_never_looks_like_none(low: float, high: float, amount: str) -> None:
    assert say_less(AB, low, high) == f"B is opened {amount} less often than A"


@pytest.mark.parametrize(
    ("low", "high", "between"),
    [
        (0.96, 1.07, "4 % less often and 7 % more often"),
        (0.001, 1.5, "much less often and 50 % more often"),
        (0.5, 860.0, "50 % less often and much more often"),
        (0.5, None, "50 % less often and much more often"),
    ],
)
def test_what_is_not_sure_is_told_without_extreme_figures(
    low: float, high: float | None, between: str
) -> None:
    said = say_unsure(AB, low, high)

    assert said == f"No sure difference: B is opened between {between} than A"


def test_ids_of_variants_stay_as_they_are_and_phrases_begin_with_a_capital() -> None:
    ids, phrases = Words("a", "b"), Words("the holdout", "the others", are_phrases=True)

    assert say_more(ids, 1.1, 1.2) == "b is opened 10 to 20 % more often than a"
    assert say_less(ids, 0.8, 0.9) == "b is opened 10 to 20 % less often than a"
    assert say_alike(ids, 0.99, 1.01) == "b and a do equally well: the difference is at most 1 %"
    assert say_more(phrases, 1.1, 1.2).startswith("The others is opened")


@pytest.mark.parametrize(
    ("count", "rounded"), [(0, 0), (7, 7), (99, 99), (3_049, 3_000), (99_960, 100_000)]
)
def test_counts_of_users_keep_two_digits(count: int, rounded: int) -> None:
    assert round_count(count) == rounded
