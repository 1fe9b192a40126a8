"""Numbers in sentences: one user, two users."""

import pytest

from push_blaster.domain.number_words import list_words, number_of


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


@pytest.mark.parametrize(
    ("words", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")],
)
def test_words_become_a_list_in_a_sentence(words: list[str], said: str) -> None:
    assert list_words(words) == said
