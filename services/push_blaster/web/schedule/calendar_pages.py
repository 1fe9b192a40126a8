"""The calendar of the next weeks: a week by days and layers, and all pushes of one day."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from chassis.clock import utc_now
from chassis.instants import is_near
from push_blaster.domain.cadence.names import LAYERS
from push_blaster.domain.schedule.calendar import CalendarPush, Collision
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.plan_calendar import Calendar, CalendarDays
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.page_times import reader_zone

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
#: How many automations a day shows for each layer; a link shows all.
SHOWN: Final = 5
#: How many pushes the page of one day shows at once.
PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """The pushes of one automation on one layer and day: the first, and how many there are."""

    first: CalendarPush
    times: int


class Cell(NamedTuple):
    """What a day shows of one layer, and how many automations it does not show."""

    layer_id: int
    entries: Sequence[Entry]
    more: int


class Day(NamedTuple):
    """One day of the week."""

    date: date
    is_past: bool
    is_today: bool
    cells: Sequence[Cell]
    pushes: int
    collisions: Sequence[Collision]


def calendar_pages(context: WebContext) -> Blueprint:
    """Return the pages of the calendar."""
    pages, calendar = page_routes("calendar"), Calendar(context)

    @pages.get("/calendar")
    def show() -> ResponseReturnValue:
        """Show a week."""
        now, zone = utc_now(), ZoneInfo(reader_zone())
        today, asked = now.astimezone(zone).date(), request.args.get("from")
        first = _monday(_read_day(asked) if asked else today)
        days = [first + number * _DAY for number in range(7)]
        with_paused = "paused" in request.args
        plan = calendar.plan(days, zone, now, with_paused=with_paused)
        return render_template(
            "calendar.html",
            days=_lay_out(plan, today),
            plan=plan,
            zone=zone.key,
            with_paused=with_paused,
            this_week=_monday(today),
            first=first,
            before=first - _WEEK,
            after=first + _WEEK,
        )

    @pages.get("/calendar/<day>")
    def show_day(day: str) -> ResponseReturnValue:
        """Show all pushes of one day, or those of one layer."""
        asked, zone = _read_day(day), ZoneInfo(reader_zone())
        layer = request.args.get("layer", type=int)
        first = max(0, request.args.get("from", 0, type=int))
        with_paused = "paused" in request.args
        plan = calendar.plan([asked], zone, utc_now(), with_paused=with_paused)
        pushes = [one for one in plan.pushes[asked] if layer in {None, one.layer_id}]
        return render_template(
            "calendar_day.html",
            day=asked,
            layer=layer,
            monday=_monday(asked),
            pushes=pushes[first : first + PAGE],
            found=len(pushes),
            first=first,
            page=PAGE,
            zone=zone.key,
            with_paused=with_paused,
            plan=plan,
        )

    return pages


def _read_day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        abort(404, f"{text!r} is no day; write it as 2026-11-30.")
    if not is_near(day):
        abort(404, "The calendar has no such year.")
    return day


def _monday(day: date) -> date:
    return day - day.weekday() * _DAY


def _lay_out(plan: CalendarDays, today: date) -> list[Day]:
    by_day = {day: _by_layer(plan.pushes[day]) for day in plan.days}
    layers = [layer for layer in LAYERS if any(layer in found for found in by_day.values())]
    return [
        Day(
            date=day,
            is_past=day < today,
            is_today=day == today,
            cells=[_make_cell(layer, by_day[day].get(layer, {})) for layer in layers],
            pushes=len(plan.pushes[day]),
            collisions=[one for one in plan.collisions if one.day == day],
        )
        for day in plan.days
    ]


def _by_layer(
    pushes: Iterable[CalendarPush],
) -> Mapping[int, Mapping[str, list[CalendarPush]]]:
    """Return the pushes of a day by layer and automation, each in the order of time."""
    found: dict[int, dict[str, list[CalendarPush]]] = {}
    for push in pushes:
        found.setdefault(push.layer_id, {}).setdefault(push.automation_id, []).append(push)
    return found


def _make_cell(layer: int, pushes: Mapping[str, Sequence[CalendarPush]]) -> Cell:
    entries = [Entry(found[0], len(found)) for found in list(pushes.values())[:SHOWN]]
    return Cell(layer, entries, len(pushes) - len(entries))
