"""Instants and days as others write them: only those with which everything can be computed."""

from datetime import UTC, date, datetime
from typing import Final

#: A date outside of these years is a typing error, and some cannot be converted to UTC.
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2200


def is_near(day: date) -> bool:
    """Return whether a date or an instant lies in the years from FIRST_YEAR to LAST_YEAR."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def read_instant(text: str) -> datetime:
    """Return an instant with its offset, in UTC; ValueError if it has none or is not near.

    The plus sign of an offset is a space in a URL that is not encoded.
    """
    instant = datetime.fromisoformat(text.replace(" ", "+"))
    if instant.tzinfo is None or not is_near(instant):
        raise ValueError(f"{text!r} is no instant with an offset from {FIRST_YEAR} to {LAST_YEAR}")
    return instant.astimezone(UTC)
