"""Conversions: what users did elsewhere, as a backend reports it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from push_blaster.domain.engagement.event import (
    ACCEPTED_FOR,
    Refusal,
    ReportRefusedError,
    read_fields,
    read_instant,
    read_name,
)

#: The largest value, and its digits after the point.
MAX_VALUE: Final = Decimal(1_000_000_000)
_DIGITS: Final = Decimal("0.0001")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
#: Stands for what is no number, and is out of bounds.
_NONE: Final = Decimal(-1)
#: How far the clock of a backend may be ahead.
AHEAD: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a user did; the same `key` is the same conversion, however often it is reported."""

    key: str
    user_id: UUID
    goal: str
    value: Decimal | None
    at: datetime


def read_conversion(item: object, now: datetime) -> Conversion:
    """Return what one item of a report says. Raises: ReportRefusedError."""
    fields = read_fields(item, required=("userId", "goal", "key"), optional=("value", "at"))
    return Conversion(
        key=read_name("key", fields["key"]),
        user_id=_read_user(fields["userId"]),
        goal=read_name("goal", fields["goal"]),
        value=_read_value(fields.get("value")),
        at=_bound(read_instant(fields.get("at")), now),
    )


def _read_user(text: object) -> UUID:
    try:
        return UUID(text if isinstance(text, str) else "")
    except ValueError as error:
        raise ReportRefusedError(Refusal.BAD_FIELD, "userId: Send a UUID.") from error


def _read_value(value: object) -> Decimal | None:
    if value is None:
        return None
    is_text = isinstance(value, str) and _DECIMAL.fullmatch(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    number = Decimal(str(value)) if is_text or is_number else _NONE
    if not 0 <= number <= MAX_VALUE:
        text = f"value: Send a decimal number from 0 to {MAX_VALUE:,}, such as 12.50."
        raise ReportRefusedError(Refusal.BAD_FIELD, text)
    return number.quantize(_DIGITS)


def _bound(at: datetime | None, now: datetime) -> datetime:
    """Return when it was, in UTC; a backend whose clock is wrong must learn that."""
    if at is None:
        return now
    if at > now + AHEAD:
        text = f"at: {at.isoformat()} is in the future; send when it happened."
        raise ReportRefusedError(Refusal.FUTURE, text)
    if at < now - ACCEPTED_FOR:
        text = f"at: {at.isoformat()} is more than {ACCEPTED_FOR.days} days ago."
        raise ReportRefusedError(Refusal.EXPIRED, text)
    return min(at, now).astimezone(UTC)
