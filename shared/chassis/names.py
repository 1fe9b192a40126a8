"""Names and ids as people and JSON write them: equal if a reader would take them for the same."""

from functools import lru_cache
from typing import Final
from unicodedata import category, normalize
from uuid import UUID

#: Characters that no eye sees: zero-width ones, the soft hyphen, and marks of direction.
_INVISIBLE: Final = dict.fromkeys(
    [
        *(0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
    ]
)


def fold(name: str) -> str:
    """Return a form of `name` that is equal for names that differ only in case or encoding."""
    return normalize("NFC", normalize("NFC", name).casefold())


def write_plain(name: str) -> str:
    """Return `name`, folded, with an underscore for each character but letters and digits.

    The letters of every script stay, with the marks that belong to them.
    """
    return "".join(mark if _is_of_a_word(mark) else "_" for mark in fold(name))


def _is_of_a_word(mark: str) -> bool:
    return mark.isalnum() or category(mark).startswith("M")


@lru_cache(maxsize=4_096)
def column_key(name: str) -> str:
    """Return the form in which names of columns are compared: no case, spaces or underscores."""
    visible = name.translate(_INVISIBLE).replace("_", " ")
    return fold("".join(visible.split()))


def trim_id(text: str) -> str:
    """Return an id without invisible characters and without the space around it."""
    return text.translate(_INVISIBLE).strip()


def id_pattern(id_: UUID) -> str:
    """Return the regular expression of an id in a text, with or without its hyphens."""
    return "-?".join(str(id_).split("-"))


def read_variable_name(text: str) -> str | None:
    """Return the name of a variable in NFC: letters of any script, digits and underscores.

    Shape: None if `text` has anything else, or begins with a digit.
    """
    name = normalize("NFC", trim_id(text))
    return name if name.isidentifier() else None


def camel_case(name: str) -> str:
    """Return `push_title` as `pushTitle`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
