"""The twenty automations of the day, and when each is due, said a second time without its schedule.

A day's schedules are compressed: what would run every few hours runs every few minutes, and what
runs once a day, a week, a month or ever has its one slot somewhere within the run.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.journeys.stack import a_journey_automation, user
from tests.torture.world import TESTER

SECOND: Final = timedelta(seconds=1)
#: Every so many minutes, from which one on, in which zone, with how many minutes of lead.
CRONS: Final = (
    (1, 0, "UTC", 0),
    (2, 0, "Europe/Berlin", 0),
    (2, 1, "America/St_Johns", 0),
    (3, 0, "Asia/Kolkata", 1),
    (3, 2, "Pacific/Auckland", 1),
    (4, 1, "America/New_York", 1),
    (4, 3, "Asia/Tokyo", 1),
    (5, 0, "Australia/Eucla", 2),
    (5, 3, "Africa/Lagos", 2),
    (6, 4, "America/Sao_Paulo", 2),
    (10, 7, "Asia/Kathmandu", 2),
    (15, 11, "Pacific/Honolulu", 3),
)
#: At which second of every minute, with the sixth field of a cron expression.
QUICK: Final = (0, 15)
#: What has one slot within the run: the frequency, its zone, and after which part of the run.
RARE: Final = (
    ("daily", "Asia/Kathmandu", 0.15),
    ("weekly", "America/Los_Angeles", 0.3),
    ("monthly", "Pacific/Chatham", 0.45),
    ("once", "Europe/London", 0.6),
    ("daily", "America/St_Johns", 0.75),
    ("weekly", "Africa/Johannesburg", 0.9),
)
#: Sequences, by the automation's number, in turns: each push's layer, and its seconds of delay.
SEQUENCES: Final = (
    ((2, 0), (3, 4), (1, 8)),
    ((2, 0), (2, 6)),
    ((1, 0), (3, 5)),
    ((5, 0),),
    ((3, 0),),
)
FIRST_USER: Final = 10_000
SPAN: Final = 40_000
USERS: Final = 150


@dataclass(frozen=True, slots=True)
class Planned:
    """An automation, and whether it is due at a wall time of its zone."""

    document: Mapping[str, Any]
    is_due: Callable[[datetime], bool]

    @property
    def id(self) -> str:
        """Return the automation's id."""
        return str(self.document["id"])

    def has_slot(self, at: datetime) -> bool:
        """Whether this instant is one of its slots."""
        return at in self.find_slots(at - SECOND, at)

    def find_slots(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield every slot after `start`, up to and including `end`, second by second."""
        zone = ZoneInfo(self.document["schedule"]["timezone"])
        at = start.replace(microsecond=0) + SECOND
        while at <= end:
            if self.is_due(at.astimezone(zone).replace(tzinfo=None)):
                yield at
            at += SECOND


def plan_day(begins_at: datetime, lasts: timedelta) -> list[Planned]:
    """Return the twenty automations of a run that begins then and lasts so long."""
    crons = [_every_minutes(*row) for row in CRONS]
    quick = [_every_minute(first) for first in QUICK]
    rare = [_once(frequency, zone, begins_at + share * lasts) for frequency, zone, share in RARE]
    return [
        Planned(an_automation(f"{kind}-{number}", number, schedule), is_due)
        for number, (kind, schedule, is_due) in enumerate([*crons, *quick, *rare], start=1)
    ]


def an_automation(
    automation_id: str, number: int, schedule: Mapping[str, Any] | None = None, **script: Any
) -> dict[str, Any]:
    """Return the automation of this number; with a schedule it is active."""
    pushes = SEQUENCES[number % len(SEQUENCES)]
    has_two = number % 4 == 0
    is_tested = number % 3 == 0
    document = a_journey_automation(
        automation_id,
        parameters={
            "first": FIRST_USER,
            "users": USERS,
            "span": SPAN,
            "mood": "well",
            "calm": "yes",
            "audiences": "keen calm" if has_two else "everybody",
            **script,
        },
        pushes=[
            {"layerId": layer, "timing": {"delayAfterPrevious": seconds / 60}}
            | ({"audienceName": ("keen", "calm")[position % 2]} if has_two else {})
            for position, (layer, seconds) in enumerate(pushes)
        ],
        settings={
            "testUserIds": [user(TESTER)] if is_tested else [],
            "cancellationWindowMinutes": 3 / 60,
            "safeguards": {"requireTestFirst": is_tested},
            "failPolicy": "closed" if number % 5 == 0 else "open",
        },
    )
    if schedule:
        document |= {"schedule": dict(schedule), "status": "active", "isActive": True}
    return document


Due = tuple[str, Mapping[str, Any], Callable[[datetime], bool]]


def _every_minutes(step: int, first: int, zone: str, lead: int) -> Due:
    expression = f"{first}-59/{step} * * * *"
    return (
        f"every-{step}-minutes",
        _cron(expression, zone, lead),
        lambda wall: wall.second == 0 and wall.minute >= first and wall.minute % step == first,
    )


def _every_minute(second: int) -> Due:
    return (
        "every-minute",
        _cron(f"* * * * * {second}", "UTC", 0),
        lambda wall: wall.second == second,
    )


def _cron(expression: str, zone: str, lead: int) -> dict[str, Any]:
    return {
        "timezone": zone,
        "frequency": "custom",
        "cronExpression": expression,
        "leadTimeMinutes": lead,
    }


def _once(frequency: str, zone: str, at: datetime) -> Due:
    wall = at.astimezone(ZoneInfo(zone)).replace(microsecond=0, tzinfo=None)
    days: dict[str, dict[str, Any]] = {
        "once": {"startDate": wall.date().isoformat()},
        "weekly": {"daysOfWeek": [wall.isoweekday() % 7]},
        "monthly": {"dayOfMonth": wall.day},
    }
    schedule = {
        "timezone": zone,
        "frequency": frequency,
        "executionTime": f"{wall:%H:%M:%S}",
        "leadTimeMinutes": 1,
        **days.get(frequency, {}),
    }
    return frequency, schedule, lambda local: local == wall
