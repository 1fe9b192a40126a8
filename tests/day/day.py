"""One day from beginning to end."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from chassis.clock import utc_now
from tests.day.alarms import Alarm
from tests.day.automations import Planned, plan_day
from tests.day.faults import EFFECTS, Kind, Struck
from tests.day.observer import Observer, Weighed
from tests.day.strikes import strike
from tests.day.visitors import Visitors
from tests.fakes.post_receiver import PostReceiver, run_post_receiver
from tests.torture.collect import collect
from tests.torture.evidence import Evidence
from tests.torture.journal import SURELY_OPENED, Journal
from tests.torture.torture import LOOK_S, rest
from tests.torture.world import World, running_world

REPLICAS: Final = 2
SETTINGS: Final = {
    "METRICS_OPEN": "true",
    "PUSH_RATE_PER_MINUTE": "60000",
    "PUSH_BATCH_SIZE": "100",
    "PUSH_SCRIPT_TIMEOUT_SECONDS": "20",
    "PUSH_RETRY_BUDGET_SECONDS": "180",
    "PUSH_RETRY_BACKOFF_SECONDS": "0.5",
}
#: Most slots come with a minute: a fault that begins shortly before it meets their live sends.
AT_SECOND: Final = 48
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Message:
    """What the webhook was told: an event of an execution, or what a safeguard found."""

    event: str
    automation_id: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The actions and the alerts of the day, and the results."""

    began_at: datetime
    ended_at: datetime
    planned: Sequence[Planned]
    struck: Sequence[Struck]
    alarms: Sequence[Alarm]
    messages: Sequence[Message]
    weights: Sequence[Weighed]
    odd: Sequence[str]
    edits: int
    left_by_themselves: Sequence[str]
    evidence: Evidence


def live_through(folder: Path, faults: Sequence[Kind], every: timedelta, say: Say) -> Day:
    """Start everything in `folder`, inject a fault after each `every`, let it rest, collect."""
    with run_post_receiver() as webhook:
        settings = SETTINGS | {"PUSH_ALERT_WEBHOOK_URL": webhook.url("ok")}
        with running_world(folder, settings, REPLICAS) as world:
            began_at = utc_now()
            lasts = every * (len(faults) + 1)
            journal = Journal(opened_within=min(SURELY_OPENED, every))
            visitors = Visitors(world, plan_day(began_at, lasts), journal)
            visitors.arrive()
            observer = Observer(world)
            observer.start()
            try:
                struck = _inject(visitors, faults, every, say)
                ended_at = utc_now()
                say("nothing more is done to it; it comes to rest")
                world.supervise(everything=True)
                visitors.leave()
                rest(world)
            finally:
                observer.stop()
            return Day(
                began_at=began_at,
                ended_at=ended_at,
                planned=visitors.planned,
                struck=[*struck, Struck(Kind.CLOSING, ended_at, ended_at)],
                alarms=observer.alarms,
                messages=_read_messages(webhook),
                weights=observer.weights,
                odd=visitors.odd,
                edits=visitors.edits,
                left_by_themselves=tuple(world.left_by_themselves),
                evidence=collect(world, journal),
            )


def _inject(visitors: Visitors, faults: Sequence[Kind], every: timedelta, say: Say) -> list[Struck]:
    struck: list[Struck] = []
    _let_pass(visitors.world, (AT_SECOND - utc_now().timestamp()) % every.total_seconds())
    for number, kind in enumerate(faults, start=1):
        _let_pass(visitors.world, every.total_seconds())
        load = os.getloadavg()[0]
        say(f"{utc_now():%H:%M:%S} {number}/{len(faults)} {kind} (load {load:.0f})")
        struck.append(strike(visitors, kind))
    _let_pass(visitors.world, max(every.total_seconds(), EFFECTS[faults[-1]].lasts_s + 5))
    return struck


def _let_pass(world: World, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        world.supervise()
        time.sleep(LOOK_S)


def _read_messages(webhook: PostReceiver) -> list[Message]:
    """Return each message to the webhook once: after a crash a message may be sent again."""
    told: dict[str, dict[str, Any]] = {}
    for request in webhook.received:
        body = orjson.loads(request.body)
        told.setdefault(body.get("alertId") or body["violationId"], body)
    return [
        Message(
            event=body.get("event", "ViolationsOpen"),
            automation_id=body["automationId"],
            at=datetime.fromisoformat(body["timestamp"]),
            text=body["text"],
        )
        for body in told.values()
    ]
