"""When an automation sends: its slots as instants, also across clock changes.

Slots are found in naive local time and then placed in the zone, because a schedule is about wall
clocks. A wall time that does not exist runs at the first instant after the gap; a wall time that
comes twice runs once, at the first. Two wall times at the same instant are one slot.
"""

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import count as count_from
from itertools import islice, takewhile
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from push_blaster.domain.automations.automation import Frequency, MissedRunPolicy, Schedule
from push_blaster.domain.zones import Slot, place_in_zone, steady_offset

_DAY = timedelta(days=1)


#: A field of a cron expression that means the same on each day.
_PLAIN: Final = re.compile(r"[\d*,/-]+", re.ASCII)
#: How many days of a cron expression are found at once, and remembered.
_DAYS_AT_ONCE: Final = 32

#: A slot found at most this long after its send time is on time, not missed.
ON_TIME: Final = timedelta(seconds=30)


def next_slots(schedule: Schedule, after: datetime, count: int) -> list[Slot]:
    """Return the first `count` slots strictly after `after`; fewer when the schedule ends."""
    return list(islice(slots_from(schedule, after), count))


def slots_between(schedule: Schedule, after: datetime, until: datetime) -> list[Slot]:
    """Return every slot strictly after `after`, up to and including `until`."""
    found: list[Slot] = []
    for slot in slots_from(schedule, after):
        if slot.at > until:
            break
        found.append(slot)
    return found


def has_slot(schedule: Schedule, slot: datetime) -> bool:
    """Return whether `slot` is one of the schedule's."""
    return bool(slots_between(schedule, slot - timedelta(microseconds=1), slot))


def latest_start(schedule: Schedule, slot: datetime) -> datetime:
    """Return how late the slot may still run."""
    may_run_late = schedule.missed_run_policy is MissedRunPolicy.RUN_LATE
    return slot + (max(ON_TIME, schedule.grace) if may_run_late else ON_TIME)


def first_slots(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[Slot]:
    """Return the first slots strictly after `after`, up to and including `until`."""
    zone = ZoneInfo(schedule.timezone)
    begin, end = (at.astimezone(zone).replace(tzinfo=None) for at in (after, until))
    offset = steady_offset(begin.date(), end.date(), zone)
    if offset is None:
        found = takewhile(lambda slot: slot.at <= until, slots_from(schedule, after))
        return list(islice(found, most))
    if schedule.end_date:
        end = min(end, datetime.combine(schedule.end_date, time.max))
    walls = islice(takewhile(end.__ge__, _local_times(schedule, begin)), most)
    return [Slot((wall - offset).replace(tzinfo=UTC)) for wall in walls]


def slots_from(schedule: Schedule, after: datetime) -> Iterator[Slot]:
    """Yield the slots strictly after `after`, in order, until the schedule ends."""
    zone = ZoneInfo(schedule.timezone)
    # Wall times up to this one have been placed at or before `after`, also across clock changes.
    wall = after.astimezone(zone).replace(tzinfo=None)
    latest = after
    for local in _local_times(schedule, wall):
        if schedule.end_date and local.date() > schedule.end_date:
            return
        slot = place_in_zone(local, zone)
        if slot.at > latest:
            latest = slot.at
            yield slot


def _local_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield wall times after `after`, in order, from the start date on."""
    if schedule.start_date:
        before_start = datetime.combine(schedule.start_date, time()) - timedelta(seconds=1)
        after = max(after, before_start)
    if schedule.frequency is Frequency.CUSTOM:
        yield from _cron_times(schedule.cron_expression or "", after)
        return
    at = schedule.execution_time or time()
    for day in _days(schedule, after.date()):
        local = datetime.combine(day, at)
        if local > after:
            yield local


def _cron_times(expression: str, after: datetime) -> Iterator[datetime]:
    fields = expression.split()
    if len(fields) != 5 or not all(map(_PLAIN.fullmatch, fields[:2])):
        yield from _every_cron_time(expression, after)
        return
    times = _cron_times_of_day(*fields[:2])
    for day in _cron_days(" ".join(fields[2:]), after.date()):
        for at in times:
            local = datetime.combine(day, at)
            if local > after:
                yield local


@lru_cache(maxsize=4_096)
def _cron_times_of_day(minute: str, hour: str) -> tuple[time, ...]:
    expanded, _ = croniter.expand(f"{minute} {hour} * * *")
    minutes, hours = (
        range(end) if field == ["*"] else sorted(map(int, field))
        for field, end in zip(expanded, (60, 24), strict=False)
    )
    return tuple(time(h, m) for h in hours for m in minutes)


def _cron_days(expression: str, first: date) -> Iterator[date]:
    """Yield the days from `first` on that the last three fields of an expression name."""
    begin: date | None = first.replace(day=1)  # so that expressions share what is remembered
    while begin:
        days = _some_cron_days(expression, begin)
        yield from (day for day in days if day >= first)
        begin = days[-1] + _DAY if days else None


@lru_cache(maxsize=4_096)
def _some_cron_days(expression: str, begin: date) -> tuple[date, ...]:
    before = datetime.combine(begin, time()) - timedelta(seconds=1)
    found = islice(_every_cron_time(f"0 0 {expression}", before), _DAYS_AT_ONCE)
    return tuple(at.date() for at in found)


def _every_cron_time(expression: str, after: datetime) -> Iterator[datetime]:
    times = croniter(expression, after, ret_type=datetime)
    try:
        while True:
            yield times.get_next()
    except CroniterBadDateError:
        return


def _days(schedule: Schedule, first: date) -> Iterator[date]:
    """Yield the days of the schedule's frequency, from `first` on."""
    match schedule.frequency:
        case Frequency.ONCE:
            return iter([schedule.start_date] if schedule.start_date else [])
        case Frequency.WEEKLY:
            wanted = _weekdays(schedule)
            return (day for day in _every_day(first) if day.isoweekday() % 7 in wanted)
        case Frequency.MONTHLY:
            return _month_days(schedule, first)
        case _:
            return _every_day(first)


def _every_day(first: date) -> Iterator[date]:
    return (first + number * _DAY for number in range((date.max - first).days))


def _weekdays(schedule: Schedule) -> frozenset[int]:
    if schedule.days_of_week:
        return frozenset(schedule.days_of_week)
    return frozenset({schedule.start_date.isoweekday() % 7 if schedule.start_date else 1})


def _month_days(schedule: Schedule, first: date) -> Iterator[date]:
    wanted = schedule.day_of_month or (schedule.start_date.day if schedule.start_date else 1)
    for number in count_from():
        year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
        last_day = calendar.monthrange(year, month + 1)[1]
        yield date(year, month + 1, min(wanted, last_day))
