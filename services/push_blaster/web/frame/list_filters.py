"""The filters of lists of executions and sends: the same names on pages and in the API."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from flask import request
from marshmallow import EXCLUDE, Schema, ValidationError, fields

from chassis.instants import FIRST_YEAR, LAST_YEAR, is_near
from chassis.problems import flatten_messages
from chassis.schemas import check_period
from chassis.typed_schemas import about
from push_blaster.domain.executions.execution_filter import (
    ExecutionFilter,
    ModeChoice,
    Result,
    find_modes,
    find_phases,
)
from push_blaster.domain.zones import place_in_zone

#: The fields of a period, as pages name them.
LABELS: Final[Mapping[str, str]] = {"from": "From day", "until": "To day"}
_DAY: Final = timedelta(days=1)


class DayField(fields.Field[date]):
    """A day, or an instant with its offset."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> date:
        text = super()._deserialize(value, attr, data, **options)
        try:
            found = _read_day(str(text))
        except ValueError:
            found = None
        if found is None:
            raise ValidationError("Write a day (2026-11-24), or an instant with its offset.")
        if not is_near(found):
            raise ValidationError(f"Days lie between {FIRST_YEAR} and {LAST_YEAR}.")
        return found.astimezone(UTC) if isinstance(found, datetime) else found


def _read_day(text: str) -> date | None:
    """Return the day or the instant; None if the instant has no offset."""
    if len(text) == len("2026-11-24"):
        return date.fromisoformat(text)
    instant = datetime.fromisoformat(text.replace(" ", "+"))
    return instant if instant.tzinfo else None


class Period(NamedTuple):
    """The instants at which a list begins and ends; the end is not included."""

    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodQuery:
    """A filter by day.

    Shape: `since` and `until` are days or instants; the day `until` is included, an instant not.
    """

    since: date | None = about(
        None,
        like=DayField,
        data_key="from",
        type="string",
        description="The first day (2026-11-24, in UTC), or an instant with its offset.",
    )
    until: date | None = about(
        None,
        like=DayField,
        type="string",
        description="The last day, or the instant before which the list ends.",
    )

    def find_period(self, zone: str = "UTC") -> Period:
        """Return the instants of the filter; days are those of `zone`. Raises: ValidationError."""
        period = Period(_begin(self.since, zone), _begin(self.until, zone, _DAY))
        check_period(*period)
        return period


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery(PeriodQuery):
    """Filters by mode and day."""

    mode: Sequence[ModeChoice] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuery(ListQuery):
    """Filters of a list of executions, or of their pushes."""

    automation_id: str | None = None
    result: Sequence[Result] = ()

    def find_filter(self, zone: str = "UTC") -> ExecutionFilter:
        """Return the filter that the list asks for."""
        since, until = self.find_period(zone)
        return ExecutionFilter(
            automation_id=self.automation_id,
            phases=find_phases(self.result),
            modes=find_modes(self.mode),
            since=since,
            until=until,
        )


def read_args() -> dict[str, list[str]]:
    """Return the query of a page; an empty field of a form counts as missing."""
    given = {name: [one for one in values if one] for name, values in request.args.lists()}
    return {name: values for name, values in given.items() if values}


def load_filters(schema: Schema, given: Mapping[str, Sequence[str]]) -> Any:
    """Return the filters in the query of a page; other names are ignored. ValidationError."""
    lists = {one.data_key for one in schema.fields.values() if isinstance(one, fields.List)}
    values = {name: found if name in lists else found[-1] for name, found in given.items()}
    return schema.load(values, unknown=EXCLUDE)


def say_faults(error: ValidationError) -> str:
    """Return what is wrong with a query in one text, which names days as the page does."""
    text = "; ".join(flatten_messages(error.messages))
    for name, label in LABELS.items():
        text = re.sub(rf"`{name}`|\b{name}(?=: )", f"“{label}”", text)
    return text


def _begin(day: date | None, zone: str, later: timedelta = timedelta(0)) -> datetime | None:
    """Return the instant, or that at which the day begins in `zone`, so much `later`."""
    if day is None or isinstance(day, datetime):
        return day
    return place_in_zone(datetime.combine(day + later, time()), ZoneInfo(zone)).at
