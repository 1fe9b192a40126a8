"""Plan the calendar: the pushes of all automations in some days, and their collisions."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
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
    in_order,
    plan_calendar,
)
from push_blaster.domain.zones import place_in_zone
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.slots_ahead import CancelledSlots, find_cancelled_slots

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
class _View:
    """What is remembered of some days: each automation's pushes, and what follows from them.

    Shape: `facts` are the automations, rules and cancelled slots that `by_day` and `collisions`
    follow from, and the day on which they were found.
    """

    planned: _Planned = field(default_factory=dict)
    facts: tuple[object, ...] = ()
    by_day: Mapping[date, Sequence[CalendarPush]] = field(default_factory=dict)
    collisions: Sequence[Collision] = ()


@dataclass(slots=True)
class Calendar:
    """Plans days; remembers the pushes of each automation until it changes."""

    context: WebContext
    _views: OrderedDict[tuple[object, ...], _View] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def plan(
        self, days: Sequence[date], zone: ZoneInfo, now: datetime, *, with_paused: bool
    ) -> CalendarDays:
        """Return the pushes that are still to come on these days, as people of `zone` count days.

        Shape: `days` follow one another. Paused automations are only in the plan `with_paused`,
        and collide with nothing.
        """
        known, cancelled = self.context.files.read_all(), self._find_cancelled(now)
        rules, fault = self._read_rules()
        facts = (rules, cancelled, now.astimezone(zone).date())
        with self._lock:
            view = self._views.pop((*days, zone.key), _View())
            if not view.facts or known is not view.facts[0] or facts != view.facts[1:]:
                _plan_view(view, days, zone, known, cancelled)
                view.collisions = _find_all(days, view.by_day, rules, zone) if not fault else ()
                view.facts = (known, *facts)
            self._views[(*days, zone.key)] = view
            while len(self._views) > REMEMBERED:
                self._views.popitem(last=False)
            by_day, collisions = view.by_day, view.collisions
        shown = {
            day: [
                push
                for push in by_day.get(day, ())
                if push.at > now and (with_paused or not push.is_paused)
            ]
            for day in days
        }
        today = now.astimezone(zone).date()
        return CalendarDays(days, shown, [one for one in collisions if one.day >= today], fault)

    def _find_cancelled(self, now: datetime) -> CancelledSlots:
        return find_cancelled_slots(self.context.database, now)

    def _read_rules(self) -> tuple[Sequence[CadenceRule], str | None]:
        try:
            return self.context.cadence.read_rules(), None
        except CadenceUnavailableError as error:
            return [], f"The cadence rules cannot be read, so collisions are unknown: {error}."


def _plan_view(
    view: _View,
    days: Sequence[date],
    zone: ZoneInfo,
    known: Mapping[str, StoredAutomation],
    cancelled: CancelledSlots,
) -> None:
    """Plan the automations that have changed, and lay all pushes out by day."""
    since = place_in_zone(datetime.combine(days[0], time()), zone).at - BEFORE
    until = place_in_zone(datetime.combine(days[-1] + _DAY, time()), zone).at
    view.planned = {
        one.automation.id: _plan(one.automation, view.planned, since, until)
        for one in known.values()
        if _is_planned(one)
    }
    found = {id_: pushes for id_, (_, pushes) in view.planned.items()}
    by_day: defaultdict[date, list[CalendarPush]] = defaultdict(list)
    for push in in_order(found):
        if (push.automation_id, push.slot) not in cancelled:
            by_day[push.at.astimezone(zone).date()].append(push)
    view.by_day = dict(by_day)


def _is_planned(stored: StoredAutomation) -> bool:
    return stored.automation.is_scheduled or stored.automation.is_paused


def _plan(
    automation: Automation, before: _Planned, since: datetime, until: datetime
) -> tuple[Automation, list[CalendarPush]]:
    known = before.get(automation.id)
    if known and known[0] is automation:
        return known
    return automation, plan_calendar(automation, since, until)


def _find_all(
    days: Sequence[date],
    by_day: Mapping[date, Sequence[CalendarPush]],
    rules: Sequence[CadenceRule],
    zone: ZoneInfo,
) -> list[Collision]:
    active = {day: [p for p in pushes if not p.is_paused] for day, pushes in by_day.items()}
    found: list[Collision] = []
    for day in days:
        earlier_days = (day - back * _DAY for back in range(BEFORE.days, 0, -1))
        before = [push for one in earlier_days for push in active.get(one, [])]
        found += find_collisions(day, active.get(day, []), before, rules, zone)
    return found
