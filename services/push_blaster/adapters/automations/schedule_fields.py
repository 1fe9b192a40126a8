"""Times and dates in the document of an automation."""

import re
from datetime import UTC, date, datetime, time
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from chassis.instants import FIRST_YEAR, LAST_YEAR, is_near
from push_blaster.domain.zones import place_in_zone

Day = TypeVar("Day", bound=date)

_TIME_OF_DAY: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


def read_time(value: str) -> time:
    """Return the time of day; ValueError unless it is HH:MM or HH:MM:SS."""
    found = _TIME_OF_DAY.fullmatch(value)
    if found is None:
        raise ValueError(value)
    hour, minute, second = (int(part or 0) for part in found.groups())
    return time(hour, minute, second)


def read_date(value: str) -> date:
    """Return the day, also of an instant; ValueError if it is outside of the allowed years."""
    return _near(date.fromisoformat(value[:10] if "T" in value else value))


def read_absolute_time(value: str, zone: str) -> time | datetime:
    """Return a time of day, or an instant; without an offset it is local time of `zone`."""
    if _TIME_OF_DAY.fullmatch(value):
        return read_time(value)
    instant = _near(datetime.fromisoformat(value))
    if instant.tzinfo:
        return instant.astimezone(UTC)
    return place_in_zone(instant, ZoneInfo(zone)).at


def _near(day: Day) -> Day:
    if not is_near(day):
        raise ValueError(f"{day} is not from {FIRST_YEAR} to {LAST_YEAR}")
    return day
