"""The route of the calendar: the pushes that are planned on some days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Final
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, validate

from chassis.clock import utc_now
from chassis.instants import FIRST_YEAR, LAST_YEAR, is_near, read_instant
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema, request_schema
from push_blaster.adapters.automations.field_checks import is_zone
from push_blaster.domain.schedule.calendar import CalendarPush, Collision
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.plan_calendar import Calendar
from push_blaster.web.frame.common_schemas import up_to
from push_blaster.web.frame.cursors import next_cursor, read_cursor

MAX_DAYS: Final = 35
_DAY: Final = timedelta(days=1)


def is_near_day(day: date) -> None:
    """Refuse a day that can only be a typing error."""
    if not is_near(day):
        raise ValidationError(f"Days lie between {FIRST_YEAR} and {LAST_YEAR}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarQuery:
    """Query of the calendar."""

    start: date | None = about(
        None,
        data_key="from",
        validate=is_near_day,
        description="the first day; default: today",
    )
    days: int = about(7, validate=validate.Range(min=1, max=MAX_DAYS))
    timezone: str = about("UTC", validate=is_zone, description="the zone of the days")
    paused: bool = about(False, description="with paused automations, which send nothing")
    limit: int = up_to(5_000, 1_000)
    cursor: str | None = None


CalendarSchema = object_schema(
    "Calendar",
    items=list[CalendarPush],
    next_cursor=str | None,
    collisions=list[Collision],
    rules_fault=str | None,
)


def calendar_routes(context: WebContext) -> Routes:
    """Return the route of the calendar."""
    calendar = Calendar(context)
    routes = Routes("calendar", __name__, description="Planned pushes by day")

    @routes.route("/api/calendar", methods=["GET"])
    @routes.arguments(request_schema(CalendarQuery), location="query")
    @routes.response(200, CalendarSchema)
    def read(query: CalendarQuery) -> Mapping[str, object]:
        """List the pushes that are planned on some days, and which of them collide."""
        now, zone = utc_now(), ZoneInfo(query.timezone)
        first = query.start or now.astimezone(zone).date()
        days = [first + number * _DAY for number in range(query.days)]
        plan = calendar.plan(days, zone, now, with_paused=query.paused)
        after = read_cursor(query.cursor, read_instant, str)
        found = [
            push
            for push in chain.from_iterable(plan.pushes.values())
            if after is None or push.place > after
        ][: query.limit]
        return {
            "items": found,
            "next_cursor": next_cursor(found, query.limit, lambda one: one.place),
            "collisions": plan.collisions,
            "rules_fault": plan.rules_fault,
        }

    return routes
