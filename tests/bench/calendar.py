"""The first view of a week of the calendar with many automations: what it costs, by parts."""

import random
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from push_blaster.adapters.automations.automation_document import (
    complete_document,
    read_automation,
)
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.schedule.calendar import find_collisions, in_order, plan_calendar
from push_blaster.domain.zones import place_in_zone
from tests.builders import a_document

Found = TypeVar("Found")
MONDAY: Final = date(2026, 12, 7)
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
EVERY: Final = frozenset({1, 2, 3})


def _rule(name: str, layers: frozenset[int], hours: int, most: int) -> CadenceRule:
    return CadenceRule(
        name=name,
        applies_to_layers=layers,
        counted_layers=layers,
        window=timedelta(hours=hours),
        max_count=most,
    )


RULES: Final = (_rule("cooldown", frozenset({3}), 72, 1), _rule("week", EVERY, 168, 3))


def measure_calendar(_folder: Path, automations: int) -> None:
    """Print the CPU time of a week, and of the week before it, which counts for collisions."""
    dice = random.Random(1)  # noqa: S311 - a sample, no secret
    known = [_automation(number, dice) for number in range(automations)]
    zone = ZoneInfo("Europe/Berlin")
    since, until = (
        place_in_zone(datetime.combine(MONDAY + timedelta(days=days), datetime.min.time()), zone).at
        for days in (-7, 7)
    )
    print(f"\n{automations:,} automations, the first view of a week")
    found = _timed(
        "pushes of each automation", lambda: {a.id: plan_calendar(a, since, until) for a in known}
    )
    pushes = _timed("their order", lambda: in_order(found))
    by_day: dict[date, list[Any]] = {}
    for push in pushes:
        by_day.setdefault(push.at.astimezone(zone).date(), []).append(push)

    def collide() -> int:
        days = [MONDAY + timedelta(days=number) for number in range(7)]
        week = [timedelta(days=back) for back in range(7, 0, -1)]
        return sum(
            len(
                find_collisions(d, by_day[d], [p for b in week for p in by_day[d - b]], RULES, zone)
            )
            for d in days
        )

    _timed("collisions", collide)
    print(f"  {len(pushes):,} pushes in two weeks")


def _timed(name: str, run: Callable[[], Found]) -> Found:
    begun = time.process_time()
    found = run()
    print(f"  {name}: {time.process_time() - begun:.2f} s of CPU")
    return found


def _automation(number: int, dice: random.Random) -> Automation:
    schedule: dict[str, Any] = {
        "timezone": dice.choice(ZONES),
        "frequency": dice.choice(("daily", "weekly", "monthly", "custom")),
        "executionTime": f"{dice.randrange(24):02}:{dice.randrange(60):02}",
    }
    if schedule["frequency"] == "custom":
        schedule["cronExpression"] = f"{dice.randrange(60)} {dice.randrange(24)} * * MON-FRI"
    push = {"title": "News", "body": "There is news.", "layerId": dice.randrange(1, 4)}
    document = a_document(
        id=f"a{number}",
        name=f"Automation {number}",
        status="active",
        isActive=True,
        schedule=schedule,
        pushSequence=[{**push, "id": f"p{place}"} for place in range(dice.randrange(1, 3))],
    )
    return read_automation(complete_document(document))
