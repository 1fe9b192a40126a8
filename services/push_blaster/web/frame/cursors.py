"""Cursors: the place where the next page of a list begins."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from marshmallow import ValidationError

A = TypeVar("A")
B = TypeVar("B")


def write_cursor(first: object, second: object) -> str:
    """Return the cursor of the page after the entry with these two keys.

    An instant ends with Z: the plus sign of +00:00 is a space in a URL that is not encoded.
    """
    if isinstance(first, datetime):
        first = f"{first.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return f"{first}|{second}"


def next_cursor(
    found: Sequence[A], limit: int, keys: Callable[[A], tuple[object, object]]
) -> str | None:
    """Return the cursor of what follows a full page; None if the page is the last one."""
    return write_cursor(*keys(found[-1])) if len(found) == limit else None


def read_cursor(
    cursor: str | None, read_first: Callable[[str], A], read_second: Callable[[str], B]
) -> tuple[A, B] | None:
    """Return the two keys of a cursor, or None for none; ValidationError if it is not ours."""
    if cursor is None:
        return None
    first, _, second = cursor.partition("|")
    try:
        return read_first(first), read_second(second)
    except ValueError as error:
        raise ValidationError({"cursor": ["Not a cursor that this list gave out."]}) from error
