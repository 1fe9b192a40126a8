"""Numbers in sentences: one user, two users."""

import pytest

from push_blaster.domain.number_words import number_of


@pytest.mark.parametrize(
    ("value", "noun", "words"),
    [
        (0, "user", "0 users"),
        (1, "user", "1 user"),
        (2, "push", "2 pushes"),
        (1, "entry", "1 entry"),
        (3, "entry", "3 entries"),
        (7, "day", "7 days"),
    ],
)
def test_a_noun_follows_its_number(value: int, noun: str, words: str) -> None:
    assert number_of(value, noun) == words
