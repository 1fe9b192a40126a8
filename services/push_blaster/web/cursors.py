"""Cursors: how a list says where its next page begins."""

from collections.abc import Callable
from typing import TypeVar

from marshmallow import ValidationError

A = TypeVar("A")
B = TypeVar("B")


def write_cursor(first: object, second: object) -> str:
    """Return the cursor after an entry of these two keys."""
    return f"{first}|{second}"


def read_cursor(
    cursor: str | None, read_first: Callable[[str], A], read_second: Callable[[str], B]
) -> tuple[A, B] | None:
    """Return the two keys of a cursor, None for the first page; ValidationError."""
    if cursor is None:
        return None
    first, _, second = cursor.partition("|")
    try:
        return read_first(first), read_second(second)
    except ValueError as error:
        raise ValidationError({"cursor": ["Not a cursor that this list gave out."]}) from error
