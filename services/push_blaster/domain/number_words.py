"""Numbers with their nouns, and lists, as a person says them."""

from collections.abc import Sequence


def number_of(value: int, noun: str) -> str:
    """Return a number with its noun: 1 user, 2 users, 2 pushes, 2 entries."""
    return f"{value} {noun if value == 1 else pluralize(noun)}"


def pluralize(noun: str) -> str:
    """Return the plural of a noun: users, pushes, entries."""
    if noun.endswith(("sh", "ch")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def list_words(parts: Sequence[str]) -> str:
    """Return parts as a list in a sentence: `a, b and c`; an empty text without parts."""
    *first, last = parts or [""]
    return f"{', '.join(first)} and {last}" if first else last
