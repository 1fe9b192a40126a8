"""When an automation sends: its slots as instants, also across clock changes.

Slots are found in naive local time and then placed in the zone, because a schedule is about wall
clocks. A wall time that does not exist runs at the first instant after the gap; a wall time that
comes twice runs once, at the first. Two wall times at the same instant are one slot.
"""

import calendar
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import count as count_from
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from push_blaster.domain.automations.automation import Frequency, MissedRunPolicy, Schedule
from push_blaster.domain.zones import Slot, place_in_zone

_DAY = timedelta(days=1)


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
