"""Forecast how many users of an audience may be reached, now and in the next hours."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cadence_service.adapters.notification_history import select_sends
from cadence_service.domain.cadence import Stretch, find_stretches
from cadence_service.domain.user_ids import AskedIds
from cadence_service.use_cases.filter_audience import read_rules
from chassis.postgres import BulkConnection

HOUR: Final = timedelta(hours=1)
#: The number of users whose history one statement reads.
PAGE: Final = 50_000


@dataclass(frozen=True, slots=True)
class ReachPoint:
    """How many users may be reached at an instant, and how many each rule caps."""

    at: datetime
    eligible: int
    exclusion_breakdown: dict[str, int]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The reach curve of an audience; if nobody is checked, `fail_open_reason` says why."""

    asked_count: int
    invalid_uuid: int
    reach: list[ReachPoint]
    fail_open_reason: str | None


def forecast_reach(
    connection: BulkConnection, asked: AskedIds, layer_id: int, start: datetime, hours: int
) -> Forecast:
    """Return the reach at `start` and at each full hour after it, if nothing more is sent.

    Recorded sends count, and reserved slots.
    """
    in_force = read_rules(connection, layer_id)
    users = asked.users
    end = start + hours * HOUR
    changes: Counter[tuple[int, str]] = Counter()
    longest = max((rule.window for rule in in_force.rules), default=timedelta(0))
    for first in range(0, len(users) if in_force.rules else 0, PAGE):
        page = users[first : first + PAGE]
        # The longest time before and after the span within which a send can count.
        histories = select_sends(connection, page, start - longest, end + HOUR + longest)
        for sends in histories.values():
            stretches = find_stretches(in_force.rules, sends, start, end + HOUR)
            _count(changes, stretches, start, hours)
    points = _add_up(changes, [rule.name for rule in in_force.rules], len(users), start, hours)
    return Forecast(len(users) + len(asked.invalid), len(asked.invalid), points, in_force.fault)


def _count(
    changes: "Counter[tuple[int, str]]", stretches: Sequence[Stretch], start: datetime, hours: int
) -> None:
    """Count the hours in which each rule caps a user: plus one at the start, minus one after."""
    for number, stretch in enumerate(stretches):
        if stretch.rule is None:
            continue
        follower = stretches[number + 1].start if number + 1 < len(stretches) else None
        begins = _hour_at_or_after(stretch.start, start)
        ends = _hour_at_or_after(follower, start) if follower else hours + 1
        if begins < ends:
            changes[begins, stretch.rule] += 1
            changes[ends, stretch.rule] -= 1


def _hour_at_or_after(instant: datetime, start: datetime) -> int:
    return -((start - instant) // HOUR)


def _add_up(
    changes: "Counter[tuple[int, str]]",
    rules: Sequence[str],
    users: int,
    start: datetime,
    hours: int,
) -> list[ReachPoint]:
    capped = dict.fromkeys(rules, 0)
    points = []
    for hour in range(hours + 1):
        for rule in rules:
            capped[rule] += changes[hour, rule]
        eligible = users - sum(capped.values())
        points.append(ReachPoint(start + hour * HOUR, eligible, dict(capped)))
    return points
