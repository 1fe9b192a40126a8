"""Time zones: the instant of a wall time, also across clock changes, and the allowed years."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: A date outside of these years is a typing error, and some cannot be converted to UTC.
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2200


@dataclass(frozen=True, slots=True)
class Slot:
    """One planned live send: its instant, in UTC, and the effect of a clock change."""

    at: datetime
    remark: str | None = None


def is_near(day: date) -> bool:
    """Return whether a date or an instant lies in the years from FIRST_YEAR to LAST_YEAR."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def _gap_end(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant with the offset of `after`, between `before` and `after`.

    Units: whole seconds, as in the zone database.
    """
    wanted = after.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while low < high:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == wanted:
            high = middle
        else:
            low = middle + 1
    return before + timedelta(seconds=low)


def place_in_zone(local: datetime, zone: ZoneInfo) -> Slot:
    """Return the instant of the naive wall time `local` in `zone`."""
    earlier = local.replace(tzinfo=zone)
    later = earlier.replace(fold=1)
    instant = earlier.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        resumed = _gap_end(later.astimezone(UTC), instant, zone)
        seen = resumed.astimezone(zone)
        return Slot(
            resumed,
            f"{local:%Y-%m-%d %H:%M} does not exist (the clocks go forward): "
            f"runs at {seen:%Y-%m-%d %H:%M}.",
        )
    if earlier.utcoffset() != later.utcoffset():
        return Slot(
            instant,
            f"{local:%Y-%m-%d %H:%M} comes twice (the clocks go back): runs once, the first time.",
        )
    return Slot(instant)


@lru_cache(maxsize=2_048)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone of this name; None if there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
