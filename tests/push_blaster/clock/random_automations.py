"""Automations at random, and what people do to them in a year: edits, pauses, new names."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Final

from push_blaster.adapters.automations.automation_document import complete_document
from tests.push_blaster.bench import an_automation_document

DAY: Final = timedelta(days=1)
ZONES: Final = (
    "UTC",
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
)
#: Days and weekdays of cron expressions: for the product, and as cronsim writes them.
CRON_DAYS: Final = (
    ("L * *", "L * *"),
    ("31 * *", "31 * *"),
    ("1,15 FEB-NOV *", "1,15 FEB-NOV *"),
    ("* * FRI#2", "* * FRI#2"),
    ("* * SUN#1,SUN#5", "* * SUN#1,SUN#5"),
    ("* * L5", "* * 5L"),
    ("* JAN,MAR,JUL,OCT SUN", "* JAN,MAR,JUL,OCT SUN"),
    ("29 2 7", "29 2 7"),
    ("L * MON", "L * MON"),
)
LEADS: Final = (0, 10, 30, 90, 24 * 60)


class Change(StrEnum):
    """What somebody did to an automation."""

    CREATED = "created"
    EDITED = "edited"
    RENAMED = "renamed"
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Version:
    """An automation's document since `at`; `cron` is its expression as cronsim writes it."""

    at: datetime
    change: Change
    document: Mapping[str, Any]
    cron: str | None

    @property
    def is_scheduled(self) -> bool:
        """Whether the clock is to open executions by it."""
        return bool(self.document["status"] == "active")


def random_life(dice: Random, number: int, begin: datetime, end: datetime) -> list[Version]:
    """Return an automation's versions, oldest first; the first is made in the first third."""
    created_at = _instant(dice, begin, begin + (end - begin) / 3)
    schedule, cron = _schedule(dice, created_at)
    first = complete_document(
        an_automation_document(
            id=f"auto-{number}",
            schedule=schedule,
            updatedAt=created_at.isoformat(),
            activatedAt=created_at.isoformat(),
        )
    )
    life = [Version(created_at, Change.CREATED, first, cron)]
    changes = sorted(_instant(dice, created_at, end) for _ in range(dice.choice((0, 1, 2, 4))))
    for at in changes:
        life.append(_change(dice, life[-1], at))
    return life


def _change(dice: Random, old: Version, at: datetime) -> Version:
    kinds = (Change.EDITED, Change.RENAMED, Change.PAUSED)
    change = dice.choice(kinds) if old.is_scheduled else Change.RESUMED
    cron = old.cron
    document = {
        **old.document,
        "version": old.document["version"] + 1,
        "updatedAt": at.isoformat(),
    }
    match change:
        case Change.EDITED:
            document["schedule"], cron = _schedule(dice, at)
        case Change.RENAMED:
            document["name"] += "!"
        case Change.PAUSED:
            document["status"] = "paused"
        case _:
            document |= {"status": "active", "activatedAt": at.isoformat()}
    return Version(at, change, complete_document(document), cron)


def _schedule(dice: Random, now: datetime) -> tuple[dict[str, Any], str | None]:
    frequency = dice.choices(
        ("once", "daily", "weekly", "monthly", "custom"), (1, 1, 2, 3, 4), k=1
    )[0]
    hour, minute = dice.choice((*range(4), *range(24))), dice.choice((0, 15, 30, 59))
    schedule: dict[str, Any] = {
        "timezone": dice.choice(ZONES),
        "frequency": frequency,
        "leadTimeMinutes": dice.choice(LEADS),
        "missedRunPolicy": dice.choice(("run_late", "skip")),
        "graceMinutes": dice.choice((0, 30, 600)),
        **_dates(dice, frequency, now.date()),
    }
    if frequency == "custom":
        days, cronsims = dice.choice(CRON_DAYS)
        second = dice.choice((None, None, 20))
        schedule["cronExpression"] = f"{minute} {hour} {days}" + (f" {second}" if second else "")
        return schedule, (f"{second} " if second else "") + f"{minute} {hour} {cronsims}"
    schedule["executionTime"] = f"{hour:02}:{minute:02}"
    if frequency == "weekly":
        schedule["daysOfWeek"] = dice.choice((None, [0], [6, 0], [1, 3, 5]))
    if frequency == "monthly":
        schedule["dayOfMonth"] = dice.choice((None, 1, 15, 28, 29, 30, 31))
    return schedule, None


def _dates(dice: Random, frequency: str, today: date) -> dict[str, str | None]:
    """Return a start and an end, or none; what sends daily ends after a month at most."""
    start = today + DAY * dice.randrange(-5, 40)
    length = dice.randrange(30) if frequency == "daily" else dice.randrange(200)
    if frequency in {"once", "daily"}:
        return {"startDate": start.isoformat(), "endDate": (start + DAY * length).isoformat()}
    return {
        "startDate": dice.choice((None, start.isoformat(), f"{start.isoformat()}T09:30:00Z")),
        "endDate": dice.choice((None, None, (start + DAY * length).isoformat())),
    }


def _instant(dice: Random, begin: datetime, end: datetime) -> datetime:
    """Return a whole second between the two."""
    seconds = dice.randrange(int((end - begin).total_seconds()))
    return (begin + timedelta(seconds=seconds)).astimezone(UTC)
