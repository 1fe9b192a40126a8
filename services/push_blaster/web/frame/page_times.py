"""The times of the pages: one zone and one way to write hours, which the reader chooses."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from flask import current_app, request
from markupsafe import Markup, escape

from push_blaster.domain.zones import find_zone

#: The cookie with the reader's choice, such as `Europe/Vienna:12`.
COOKIE: Final = "push_times"
#: The app's entry with the zone for readers who have not chosen one.
USUAL_ZONE: Final = "PAGES_TIMEZONE"
Hours = Literal[12, 24]

#: A time within a text: an instant if it has a day and an offset, or a day in words and the short
#: name of a zone; else a wall time.
_TIME_IN_TEXT: Final = re.compile(
    r"""\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[ ]
        (?P<spelled>\d{1,2}[ ][A-Z][a-z]{2}[ ]\d{4},[ ]\d\d:\d\d)
        [ ](?P<zone>[A-Z]{2,5}\b|[+-]\d{2,4}\b)
        |
        (?<![\w:.+])(?<!UTC-)
        (?:(?P<day>\d{4}-\d\d-\d\d)[T ])?
        (?P<clock>(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)
        (?(day)(?P<offset>Z|[ ]UTC|[+-]\d\d:\d\d)?)
        (?![\w+]|[:.]\d)""",
    re.VERBOSE | re.ASCII,
)
_MARK: Final = Markup('<time datetime="{}" title="{}">{}</time>')


@dataclass(frozen=True, slots=True)
class PageTimes:
    """How a reader sees times."""

    zone: ZoneInfo
    hours: Hours = 24

    def show_instant(self, at: datetime | None, own: str | None = None, empty: str = "—") -> Markup:
        """Return an instant with its zone; beside it, if it differs, the time in the zone `own`."""
        if at is None:
            return escape(empty)
        local = at.astimezone(self.zone)
        shown = self._mark(at, f"{_day(local)}, {self._clock(local)} {_zone_name(local)}")
        return shown + self._show_beside(at, own)

    def show_clock_time(self, at: datetime) -> Markup:
        """Return the time of day to the second; the zone only where the clocks go back."""
        local = at.astimezone(self.zone)
        text = self._clock(local, to_the_second=True)
        is_twice = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
        return self._mark(at, f"{text} {_zone_name(local)}" if is_twice else text)

    def show_time_of_day(self, at: datetime) -> Markup:
        """Return the hour and minute of an instant, on a page that names its day."""
        return self._mark(at, self._clock(at.astimezone(self.zone)))

    def show_countdown(self, at: datetime, text: str) -> Markup:
        """Return a text about the time until `at`, or since then; times.js keeps it running."""
        mark = Markup('<time datetime="{}" title="{}" data-countdown>{}</time>')
        return mark.format(write_sortable(at), self._name_whole(at), text)

    def show_planned(self, at: time | datetime, own: str) -> Markup:
        """Return an instant, or a wall time in the zone `own`."""
        if isinstance(at, datetime):
            return self.show_instant(at, own)
        return Markup("{} in {}").format(self.show_wall_time(at), own)

    def name_day(self, at: datetime) -> str:
        """Return the weekday and the day of the month of an instant."""
        local = at.astimezone(self.zone)
        return f"{local:%a} {local.day}"

    def show_wall_time(self, at: time) -> str:
        """Return a time of day that is no instant: it is in no zone, or the text names its zone."""
        return self._clock(at, to_the_second=bool(at.second))

    def format_text(self, text: object) -> Markup:
        """Return a text, escaped, with all times that it names as the reader sees times."""
        if isinstance(text, Markup):
            return text
        return Markup(_TIME_IN_TEXT.sub(self._reformat, str(escape(text))))  # noqa: S704 - escaped before

    @property
    def name(self) -> str:
        """The zone and the hours, as the frame of each page names them."""
        return f"{self.zone.key}, {self.hours}-hour"

    def _reformat(self, found: re.Match[str]) -> str:
        day, clock, offset = found["day"], found["clock"], found["offset"]
        try:
            if found["spelled"]:
                return self._show_spelled(found["spelled"], found["zone"])
            if day is None:
                return self.show_wall_time(time.fromisoformat(clock))
            at = datetime.fromisoformat(f"{day}T{clock}{'Z' if offset == ' UTC' else offset or ''}")
            return self.show_instant(at) if at.tzinfo else f"{_day(at)}, {self._clock(at)}"
        except (ValueError, OverflowError):
            return found[0]

    def _show_spelled(self, text: str, zone: str) -> str:
        """Return an instant that a text spells; if its zone is in doubt, its own time and zone."""
        wall = datetime.strptime(text, "%d %b %Y, %H:%M")  # noqa: DTZ007 - its zone is a name
        is_own = wall.replace(tzinfo=self.zone).tzname() == zone
        at = wall.replace(tzinfo=self.zone) if is_own else _find_spelled(wall, zone)
        return self.show_instant(at) if at else f"{_day(wall)}, {self._clock(wall)} {zone}"

    def _show_beside(self, at: datetime, own: str | None) -> Markup:
        zone = find_zone(own) if own else None
        here, there = at.astimezone(self.zone), at.astimezone(zone or self.zone)
        if zone is None or here.utcoffset() == there.utcoffset():
            return Markup()
        day = f"{there:%a} " if here.date() != there.date() else ""
        shown = self._mark(at, f"{day}{self._clock(there)}")
        return Markup(' <span class="quiet own-time">{} in {}</span>').format(shown, own)

    def _mark(self, at: datetime, text: str) -> Markup:
        return _MARK.format(write_sortable(at), self._name_whole(at), text)

    def _name_whole(self, at: datetime) -> str:
        local = at.astimezone(self.zone)
        clock = self._clock(local, to_the_second=True)
        return f"{_day(local)}, {clock} {_zone_name(local)}, {self.zone.key}"

    def _clock(self, at: time | datetime, *, to_the_second: bool = False) -> str:
        rest = f"{at:%M:%S}" if to_the_second else f"{at:%M}"
        if self.hours == 24:
            return f"{at:%H}:{rest}"
        return f"{at.hour % 12 or 12}:{rest} {'am' if at.hour < 12 else 'pm'}"


def read_times() -> PageTimes:
    """Return how the reader of this request sees times; usually in the zone of the settings."""
    name, _, hours = request.cookies.get(COOKIE, "").partition(":")
    zone = find_zone(name) or ZoneInfo(current_app.config[USUAL_ZONE])
    return PageTimes(zone, 12 if hours == "12" else 24)


def write_sortable(at: datetime) -> str:
    """Return an instant so that the order of the texts is the order of the instants."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=1)
def list_zones() -> tuple[str, ...]:
    """Return the names of all zones, in order."""
    return tuple(sorted(available_timezones()))


@lru_cache(maxsize=1)
def _load_zones() -> tuple[ZoneInfo, ...]:
    return tuple(map(ZoneInfo, list_zones()))


def find_zone_name(text: str) -> str | None:
    """Return the name of the zone that somebody typed, without regard to case and spaces."""
    wanted = text.strip().replace(" ", "_").casefold()
    return next((name for name in list_zones() if name.casefold() == wanted), None)


@lru_cache(maxsize=4_096)
def _find_spelled(wall: datetime, name: str) -> datetime | None:
    """Return the instant of a wall time by the short name of its zone; None if zones differ."""
    locals_ = (wall.replace(tzinfo=zone, fold=fold) for zone in _load_zones() for fold in (0, 1))
    found = {local.astimezone(UTC) for local in locals_ if local.tzname() == name}
    return found.pop() if len(found) == 1 else None


def _day(at: datetime) -> str:
    return f"{at:%a} {at.day} {at:%b %Y}"


def _zone_name(at: datetime) -> str:
    """Return the short name of the zone; a zone without one is named by its offset."""
    name, offset = f"{at:%Z}", f"{at:%z}"
    return name if name.isalpha() else f"UTC{offset[:3]}:{offset[3:5]}"


def reader_zone() -> str:
    """Return the zone in which the reader of a page thinks of days."""
    return read_times().zone.key
