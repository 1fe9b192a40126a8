"""Checks of single values in documents; each complaint says what would be right."""

from typing import Final

from marshmallow import ValidationError, validate

from chassis.instants import FIRST_YEAR, LAST_YEAR
from push_blaster.adapters.automations.cron_fields import BadCronError, check_cron
from push_blaster.adapters.automations.document_files import ID_PATTERN
from push_blaster.adapters.automations.schedule_fields import (
    read_absolute_time,
    read_date,
    read_time,
)
from push_blaster.domain.zones import describe_no_zone, find_zone

DAY_MINUTES: Final = 24 * 60
#: The longest name of a time zone.
MAX_ZONE: Final = 64


def is_id(value: str) -> None:
    """Refuse a text that cannot be the name of a file."""
    if not ID_PATTERN.fullmatch(value):
        raise ValidationError(
            "Use letters, digits, '.', '_' and '-', at most 100, a letter or digit first."
        )


def is_time(value: str) -> None:
    """Refuse a text that is not a time of day."""
    try:
        read_time(value)
    except ValueError as error:
        raise ValidationError(f"{value!r} is no time of day; write it as HH:MM.") from error


def is_date(value: str) -> None:
    """Refuse a text that is not a date in the range that is allowed."""
    try:
        read_date(value)
    except ValueError as error:
        raise ValidationError(
            f"{value!r} is no date from {FIRST_YEAR} to {LAST_YEAR}; write it as YYYY-MM-DD."
        ) from error


def is_zone(value: str) -> None:
    """Refuse a text that is not the name of a time zone."""
    if len(value) > MAX_ZONE or find_zone(value) is None:
        raise ValidationError(describe_no_zone(value))


def is_cron(value: str) -> None:
    """Refuse a text that is not a cron expression; the schedule decides about an empty text."""
    if not value:
        return
    try:
        check_cron(value)
    except BadCronError as error:
        raise ValidationError(str(error)) from error


def is_absolute_time(value: str) -> None:
    """Refuse a text that is neither a time of day nor an instant; an empty text means none."""
    if not value:
        return
    try:
        read_absolute_time(value, "UTC")
    except ValueError as error:
        raise ValidationError(
            f"{value!r} is neither a time of day (HH:MM) nor an instant (ISO 8601) "
            f"from {FIRST_YEAR} to {LAST_YEAR}."
        ) from error


def worded(max_length: int) -> validate.Validator:
    """Return the check of a text that may not be empty."""
    return validate.Length(min=1, max=max_length, error="Give 1 to {max} characters.")
