"""Time zones: the instant of a wall time, also across clock changes."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from chassis.instants import is_near

#: How much of a name is shown, how many names are offered instead, and how like it they are.
_MAX_NAME: Final = 64
_NEAREST: Final = 3
_ALIKE: Final = 0.75


@dataclass(frozen=True, slots=True)
class Slot:
    """One planned live send: its instant, in UTC, and the effect of a clock change."""

    at: datetime
    remark: str | None = None


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


@lru_cache(maxsize=4_096)
def steady_offset(first: date, last: date, zone: ZoneInfo) -> timedelta | None:
    """Return the offset of `zone` on some days; None if the clocks change on or beside them.

    It looks once an hour, and so misses a change that is taken back within the hour. The clock of
    the schedules must not use it; a calendar may.
    """
    if not (is_near(first) and is_near(last)):
        return None
    begin, hours = datetime.combine(first, time()), ((last - first).days + 2) * 24
    walls = (begin + timedelta(hours=hour) for hour in range(-24, hours))
    offsets = {at.replace(tzinfo=zone, fold=fold).utcoffset() for at in walls for fold in (0, 1)}
    return offsets.pop() if len(offsets) == 1 else None


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
            f"{local:%Y-%m-%d %H:%M} does not exist in {zone.key} (the clocks go forward): "
            f"runs at {seen:%Y-%m-%d %H:%M}.",
        )
    if earlier.utcoffset() != later.utcoffset():
        return Slot(
            instant,
            f"{local:%Y-%m-%d %H:%M} comes twice in {zone.key} (the clocks go back): "
            "runs once, the first time.",
        )
    return Slot(instant)


@lru_cache(maxsize=2_048)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone of this name; None if there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def list_zones() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset(available_timezones())


@cache
def list_places() -> tuple[str, ...]:
    """Return the names that people choose from: continent and city, and UTC."""
    return (*sorted(name for name in list_zones() if _is_place(name)), "UTC")


@lru_cache(maxsize=256)
def describe_no_zone(text: str) -> str:
    """Return why `text` is no name of a zone, with the names that are most like it."""
    near = " or ".join(_find_nearest(text[:_MAX_NAME]))
    hint = f"did you mean {near}?" if near else "use a name such as Europe/Berlin."
    return f"{text[:_MAX_NAME]!r} is no time zone; {hint}"


def _is_place(name: str) -> bool:
    return "/" in name and not name.startswith(("Etc/", "SystemV/"))


def _find_nearest(text: str) -> list[str]:
    """Return up to three places with a name, or at least a city, like `text`."""
    wanted = text.strip().casefold().replace(" ", "_")
    by_city = {_city(name): name for name in list_places()}
    names = {name.casefold(): name for name in list_places()}
    like = get_close_matches(wanted, names, _NEAREST, _ALIKE)
    cities = get_close_matches(_city(wanted), by_city, _NEAREST, _ALIKE)
    exact = [by_city[city] for city in cities if city == _city(wanted)]
    others = [*(names[name] for name in like), *(by_city[city] for city in cities)]
    return list(dict.fromkeys(exact or others))[:_NEAREST]


def _city(name: str) -> str:
    return name.rpartition("/")[2].casefold()
