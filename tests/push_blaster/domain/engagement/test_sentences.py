"""Sentences about differences that are just sure, and about very great ones."""

import pytest

from push_blaster.domain.engagement.sentences import Words, round_count, say_less, say_more

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
        (12.4, 1_234_567.0, "12 to 1,200,000 times as often as"),
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
        (0.001, 0.003, "about 100 %"),
    ],
)
def test_a_sure_disadvantage_never_looks_like_none(low: float, high: float, amount: str) -> None:
    assert say_less(AB, low, high) == f"B is opened {amount} less often than A"


@pytest.mark.parametrize(
    ("count", "rounded"), [(0, 0), (7, 7), (99, 99), (3_049, 3_000), (99_960, 100_000)]
)
def test_counts_of_users_keep_two_digits(count: int, rounded: int) -> None:
    assert round_count(count) == rounded
