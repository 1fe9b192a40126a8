"""The timeline: which step of an execution is due, as a pure function of its state.

| phase               | due                           | step              | then                  |
|---------------------|-------------------------------|-------------------|-----------------------|
| waiting             | T - lead                      | BEGIN             | audience_generation   |
| audience_generation | at once                       | GENERATE_AUDIENCE | test_sending          |
| test_sending        | at once                       | SEND_TEST         | cancellation_window   |
| cancellation_window | max(T, end of test + window)  | GO_LIVE           | live_execution        |
| live_execution      | the next push's own instant   | START_PUSH        | that push is sending  |
| live_execution      | while a push is sending       | WATCH_PUSH        | that push has ended   |
| live_execution      | no push left                  | COMPLETE          | completed             |

A mode may leave phases out; see modes.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from push_blaster.domain.automations.automation import Push
from push_blaster.domain.executions.execution import Execution, PushProgress
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.zones import place_in_zone

#: A send that begins within this time of its planned instant counts as sent at that instant.
ON_TIME: Final = timedelta(minutes=15)

#: How often a push that is sending is checked.
WATCH_INTERVAL: Final = timedelta(milliseconds=500)
#: How often it is checked while all its batches are deferred.
REST_INTERVAL: Final = timedelta(seconds=30)


class Step(StrEnum):
    """One durable step of an execution; each is safe to repeat."""

    BEGIN = "begin"
    GENERATE_AUDIENCE = "generate_audience"
    SEND_TEST = "send_test"
    GO_LIVE = "go_live"
    START_PUSH = "start_push"
    WATCH_PUSH = "watch_push"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class DueStep:
    """A step and the instant from which it may run."""

    step: Step
    at: datetime


def find_next_step(execution: Execution, now: datetime) -> DueStep | None:
    """Return the step that comes next and when; None once the execution has ended."""
    if execution.phase is Phase.LIVE_EXECUTION:
        return _find_live_step(execution, now)
    before_live = {
        Phase.WAITING: DueStep(Step.BEGIN, execution.begins_at),
        Phase.AUDIENCE_GENERATION: DueStep(Step.GENERATE_AUDIENCE, now),
        Phase.TEST_SENDING: DueStep(Step.SEND_TEST, now),
        Phase.CANCELLATION_WINDOW: DueStep(Step.GO_LIVE, execution.live_at or execution.slot),
    }
    return before_live.get(execution.phase)


def find_due_step(execution: Execution, now: datetime) -> Step | None:
    """Return the step that may run at `now`, or None."""
    following = find_next_step(execution, now)
    return following.step if following and following.at <= now else None


def live_instant(slot: datetime, test_ended_at: datetime, window: timedelta) -> datetime:
    """Return when the live send may begin: at T, or a window after the test if that is later."""
    return max(slot, test_ended_at + window)


def plan_pushes(pushes: Sequence[Push], live_at: datetime, zone: str) -> list[datetime]:
    """Return the planned instant of each push: its delay after the one before, or its own time.

    Units: an absolute wall time belongs to the live day in `zone`, and follows clock changes as
    slots do; no push is planned before the push that it follows. After an experiment the delay
    counts from the decision, when most users get that push.
    """
    planned: list[datetime] = []
    previous = live_at
    for push in pushes:
        wanted = absolute_instant(push, live_at, zone) or previous + push.delay
        planned.append(max(previous, wanted))
        previous = planned[-1] + push.decide_after
    return planned


def plan_execution(execution: Execution, live_at: datetime | None = None) -> list[datetime]:
    """Return the planned instant of each push of an execution: from T on, or from `live_at` on."""
    zone = execution.automation.schedule.timezone
    return plan_pushes(execution.sequence, live_at or execution.slot, zone)


def find_wall_time(execution: Execution, position: int) -> datetime:
    """Return the planned time of a push on the clocks of the automation's zone, without a zone."""
    zone = ZoneInfo(execution.automation.schedule.timezone)
    return plan_execution(execution)[position - 1].astimezone(zone).replace(tzinfo=None)


def _find_live_step(execution: Execution, now: datetime) -> DueStep:
    push = find_current_push(execution.pushes)
    if push is None:
        return DueStep(Step.COMPLETE, now)
    if push.started_at is None:
        return DueStep(Step.START_PUSH, push.due_at or now)
    return DueStep(Step.WATCH_PUSH, now)


def find_current_push(pushes: Sequence[PushProgress]) -> PushProgress | None:
    """Return the first push that has not ended, or None."""
    return next((push for push in pushes if push.ended_at is None), None)


def absolute_instant(push: Push, live_at: datetime, zone: str) -> datetime | None:
    """Return the push's own instant; None if the push follows another by its delay."""
    if isinstance(push.absolute_time, time):
        day = live_at.astimezone(ZoneInfo(zone)).date()
        return place_in_zone(datetime.combine(day, push.absolute_time), ZoneInfo(zone)).at
    return push.absolute_time


def counted_at(nominal: datetime, started_at: datetime) -> datetime:
    """Return the instant for the cadence rules: `nominal`, or `started_at` if that is far off."""
    return nominal if abs(started_at - nominal) <= ON_TIME else started_at


def counted_instant(execution: Execution, position: int) -> datetime | None:
    """Return the instant at which the push's sends count for the cadence rules.

    A push that began on time counts as planned, so that a daily 12:30 automation under a 72 hour
    cooldown sends on day 3, although no send begins at 12:30:00 exactly. A push that began late
    counts from its start; a push that has not begun has no such instant.
    """
    nominal = plan_execution(execution)[position - 1]
    started_at = execution.pushes[position - 1].started_at
    return None if started_at is None else counted_at(nominal, started_at)
