"""The slots of a document, in another manner than the product finds them.

The product turns wall times into instants. Here a year's instants are gone through, the wall clock
is read at each, and the first that shows a wanted wall time, or a later one, is the slot. What
cron expressions mean is cronsim's matter.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

DAY, HOUR, MINUTE, SECOND = (timedelta(seconds=s) for s in (86_400, 3_600, 60, 1))


def slots_of(document: Mapping[str, Any], cron: str | None, year: int) -> list[datetime]:
    """Return the instants of the year at which the automation ought to send, in order."""
    schedule = document["schedule"]
    start, end = (_day(schedule.get(name)) for name in ("startDate", "endDate"))
    walls = _cron_walls(cron, year) if cron else _day_walls(schedule, start, year)
    return sorted(
        {
            _first_instant(wall, schedule["timezone"])
            for wall in walls
            if (start or date.min) <= wall.date() <= (end or date.max)
        }
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None


def _cron_walls(cron: str, year: int) -> Iterator[datetime]:
    before = datetime.combine(date(year, 1, 1), time()) - SECOND
    return takewhile(lambda wall: wall.year == year, CronSim(cron, before))


def _day_walls(schedule: Mapping[str, Any], start: date | None, year: int) -> Iterator[datetime]:
    at = time.fromisoformat(schedule["executionTime"])
    day = date(year, 1, 1)
    while day.year == year:
        if _is_wanted(schedule, start, day):
            yield datetime.combine(day, at)
        day += DAY


def _is_wanted(schedule: Mapping[str, Any], start: date | None, day: date) -> bool:
    match schedule["frequency"]:
        case "once":
            return day == start
        case "weekly":
            wanted = schedule.get("daysOfWeek") or [int(f"{start:%w}") if start else 1]
            return int(f"{day:%w}") in wanted
        case "monthly":
            number = schedule.get("dayOfMonth") or (start.day if start else 1)
            is_last = (day + DAY).month != day.month
            return day.day == number or (is_last and day.day < number)
    return True


@cache
def _first_instant(wall: datetime, zone: str) -> datetime:
    """Return the first instant at which the zone's clocks show `wall` or later.

    Hour by hour until they do, then, as clocks may go back, from well before that by minutes.
    """
    at = _pass(wall.replace(tzinfo=UTC) - 26 * HOUR, wall, zone, HOUR)
    at = _pass(at - 4 * HOUR, wall.replace(second=0), zone, MINUTE)
    return _pass(at, wall, zone, SECOND)


def _pass(at: datetime, wall: datetime, zone: str, step: timedelta) -> datetime:
    clock = ZoneInfo(zone)
    while at.astimezone(clock).replace(tzinfo=None) < wall:
        at += step
    return at
