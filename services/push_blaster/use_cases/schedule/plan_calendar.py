"""Plan the calendar: the pushes of all automations in some days, and their collisions."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from threading import Lock
from typing import Final
from zoneinfo import ZoneInfo

from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.schedule.calendar import (
    CalendarPush,
    Collision,
    find_collisions,
    plan_calendar,
)
from push_blaster.domain.zones import place_in_zone
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.slots_ahead import find_cancelled_slots

#: How many views of the calendar are remembered.
REMEMBERED: Final = 6
#: How far before the first day pushes count for collisions; no usual cap is longer.
BEFORE: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)

_Planned = dict[str, tuple[Automation, list[CalendarPush]]]


@dataclass(frozen=True, slots=True)
class CalendarDays:
    """The planned pushes of some days in the order of time, and the collisions of each day.

    Shape: `rules_fault` says why collisions are unknown, if the cadence rules cannot be read.
    """

    days: Sequence[date]
    pushes: Mapping[date, Sequence[CalendarPush]]
    collisions: Sequence[Collision]
    rules_fault: str | None


@dataclass(slots=True)
class Calendar:
    """Plans days; remembers the pushes of each automation until it changes."""

    context: WebContext
    _views: OrderedDict[tuple[datetime, datetime], _Planned] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def plan(
        self, days: Sequence[date], zone: ZoneInfo, now: datetime, *, with_paused: bool
    ) -> CalendarDays:
        """Return the pushes that are still to come on these days, as people of `zone` count days.

        Shape: `days` follow one another. Paused automations are only in the plan `with_paused`,
        and collide with nothing.
        """
        since = place_in_zone(datetime.combine(days[0], time()), zone).at
        until = place_in_zone(datetime.combine(days[-1] + _DAY, time()), zone).at
        planned = self._find(since - BEFORE, until)
        cancelled = find_cancelled_slots(self.context.database, now)
        sent = [push for push in planned if (push.automation_id, push.slot) not in cancelled]
        active = _by_day((push for push in sent if not push.is_paused), zone)
        shown = (push for push in sent if push.at > now and (with_paused or not push.is_paused))
        rules, fault = self._read_rules()
        collisions = [] if fault else _find_all(days, active, now, rules, zone)
        by_day = _by_day(shown, zone)
        return CalendarDays(days, {day: by_day.get(day, []) for day in days}, collisions, fault)

    def _read_rules(self) -> tuple[Sequence[CadenceRule], str | None]:
        try:
            return self.context.cadence.read_rules(), None
        except CadenceUnavailableError as error:
            return [], f"The cadence rules cannot be read, so collisions are unknown: {error}."

    def _find(self, since: datetime, until: datetime) -> list[CalendarPush]:
        known = [stored for stored in self.context.files.read_all().values() if _is_planned(stored)]
        with self._lock:
            before = self._views.pop((since, until), {})
            view = {one.automation.id: _plan(one.automation, before, since, until) for one in known}
            self._views[since, until] = view
            while len(self._views) > REMEMBERED:
                self._views.popitem(last=False)
        found = [push for _, pushes in view.values() for push in pushes]
        return sorted(found, key=lambda push: push.place)


def _is_planned(stored: StoredAutomation) -> bool:
    return stored.automation.is_scheduled or stored.automation.is_paused


def _plan(
    automation: Automation, before: _Planned, since: datetime, until: datetime
) -> tuple[Automation, list[CalendarPush]]:
    known = before.get(automation.id)
    if known and known[0] is automation:
        return known
    return automation, plan_calendar(automation, since, until)


def _by_day(pushes: Iterable[CalendarPush], zone: ZoneInfo) -> Mapping[date, list[CalendarPush]]:
    found: defaultdict[date, list[CalendarPush]] = defaultdict(list)
    for push in pushes:
        found[push.at.astimezone(zone).date()].append(push)
    return found


def _find_all(
    days: Sequence[date],
    active: Mapping[date, Sequence[CalendarPush]],
    now: datetime,
    rules: Sequence[CadenceRule],
    zone: ZoneInfo,
) -> list[Collision]:
    """Return the collisions of days that are not over yet."""
    found: list[Collision] = []
    today = now.astimezone(zone).date()
    for day in days:
        if day >= today:
            before = [
                p for back in range(BEFORE.days, 0, -1) for p in active.get(day - back * _DAY, [])
            ]
            found += find_collisions(day, active.get(day, []), before, rules, zone)
    return found
