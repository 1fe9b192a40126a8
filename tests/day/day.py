"""One day from beginning to end."""

import os
import signal
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
from tests.day.visitors import BY_HAND, Visitors
from tests.fakes.post_receiver import PostReceiver, run_post_receiver
from tests.torture.collect import collect
from tests.torture.evidence import Evidence
from tests.torture.journal import SURELY_OPENED, Journal
from tests.torture.schedule import Blow
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
    """What was done and heard, and what came of it."""

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
    for number, kind in enumerate(faults, start=1):
        _let_pass(visitors.world, every.total_seconds())
        load = os.getloadavg()[0]
        say(f"{utc_now():%H:%M:%S} {number}/{len(faults)} {kind} (load {load:.0f})")
        struck.append(_strike(visitors, kind))
    _let_pass(visitors.world, max(every.total_seconds(), EFFECTS[faults[-1]].lasts_s + 5))
    return struck


def _let_pass(world: World, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        world.supervise()
        time.sleep(LOOK_S)


def _strike(visitors: Visitors, kind: Kind) -> Struck:
    since, lasts_s = utc_now(), EFFECTS[kind].lasts_s
    automation_id = None
    if kind in BLOWS:
        _strike_parts(visitors.world, kind, lasts_s)
    elif kind in ACTS:
        automation_id = ACTS[kind](visitors, lasts_s)
    elif kind in WEATHERS:
        visitors.world.set_weather(WEATHERS[kind], lasts_s)
    else:
        visitors.world.set_mood(MOODS[kind], lasts_s)
    return Struck(kind, since, since + timedelta(seconds=lasts_s), automation_id)


#: The parts that a fault ends, by their number, and how; the first engine and the first replica
#: are never killed, so that their memory is seen for the whole run.
BLOWS: Final[dict[Kind, tuple[Blow, int, signal.Signals]]] = {
    Kind.ENGINE: (Blow.KILL_ENGINE, 1, signal.SIGKILL),
    Kind.ENGINES: (Blow.KILL_ENGINE, 1, signal.SIGKILL),
    Kind.REPLICA: (Blow.KILL_CADENCE, 1, signal.SIGKILL),
    Kind.WEB: (Blow.KILL_WEB, 0, signal.SIGKILL),
    Kind.POSTGRES: (Blow.KILL_POSTGRES, 0, signal.SIGKILL),
    Kind.RESTART: (Blow.KILL_POSTGRES, 0, signal.SIGINT),
}
WEATHERS: Final = {
    Kind.PROVIDER_BUSY: "busy",
    Kind.PROVIDER_DOWN: "down",
    Kind.PROVIDER_SLOW: "slow",
    Kind.PROVIDER_AWAY: "cut",
}
MOODS: Final = {
    Kind.CADENCE_AWAY: "AWAY",
    Kind.CADENCE_SLOW: "SLOW",
    Kind.CADENCE_NONSENSE: "NONSENSE",
}


def _strike_parts(world: World, kind: Kind, lasts_s: float) -> None:
    blow, number, how = BLOWS[kind]
    world.kill(blow, number, lasts_s, how)
    if kind is Kind.ENGINES:
        world.freeze(Blow.KILL_ENGINE, 0, lasts_s)


def _start_failing(visitors: Visitors, _: float) -> str:
    visitors.start("script-fails")
    return "script-fails"


def _start_hanging(visitors: Visitors, _: float) -> str:
    visitors.start("script-hangs")
    return "script-hangs"


def _stop_one(visitors: Visitors, _: float) -> str:
    visitors.end("is-stopped", "stop", "live_execution")
    return "is-stopped"


def _cancel_one(visitors: Visitors, _: float) -> str:
    visitors.end("is-cancelled", "cancel", "cancellation_window")
    return "is-cancelled"


def _fill_queue(visitors: Visitors, _: float) -> None:
    for name in BY_HAND:
        if name.startswith("crowd-"):
            visitors.start(name)


ACTS: Final[dict[Kind, Callable[[Visitors, float], str | None]]] = {
    Kind.SCRIPT_FAILS: _start_failing,
    Kind.SCRIPT_HANGS: _start_hanging,
    Kind.STOP: _stop_one,
    Kind.CANCEL: _cancel_one,
    Kind.FULL_QUEUE: _fill_queue,
    Kind.EDIT: lambda visitors, _: visitors.edit_at_once(),
    Kind.STOP_EVERYTHING: lambda visitors, for_s: visitors.stop_everything(for_s),
    Kind.BROKEN_FILE: lambda visitors, for_s: visitors.break_file(for_s),
}


def _read_messages(webhook: PostReceiver) -> list[Message]:
    """Return what the webhook was told, each thing once: it may be told again after a crash."""
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
