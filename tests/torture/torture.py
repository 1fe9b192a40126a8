"""One torture from beginning to end."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from chassis.clock import utc_now
from tests.torture.collect import collect, read_logs
from tests.torture.crowd import Crowd
from tests.torture.evidence import Evidence, Strike
from tests.torture.journal import SURELY_OPENED
from tests.torture.schedule import DETAILS, KILLS, Blow, Event
from tests.torture.trouble import BEGIN
from tests.torture.world import World, read_rows, running_world

#: How often the supervisor looks, and the crowd.
LOOK_S: Final = 0.1
BUSY_EVERY_S: Final = 0.5
#: How long engines hold after a jump of the host and its way back.
HELD: Final = timedelta(seconds=90)
#: How long the system may take to come to rest, once nothing is done to it any more.
REST_S: Final = 150.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The actions, their duration, and the evidence of their results."""

    seed: int
    blows: Counter[Blow]
    took_s: float
    left_by_themselves: tuple[str, ...]
    evidence: Evidence
    logs: Mapping[str, Sequence[str]]
    strikes: Sequence[Strike] = ()


def torture(folder: Path, seed: int, events: Iterable[Event], say: Say) -> Told:
    """Start the world in `folder`, let the events happen to it, let it rest, and collect."""
    with running_world(folder, with_clocks=True) as world:
        crowd = Crowd(world, seed)
        crowd.arrive()
        blows: Counter[Blow] = Counter()
        strikes: list[Strike] = []
        began_at = time.monotonic()
        for event in events:
            _let_pass(crowd, event.after_s)
            strikes += _name_strikes(event)
            _strike(crowd, event)
            blows[event.blow] += 1
            _tell(say, event, blows)
        took_s = time.monotonic() - began_at
        say("nothing more is done to it; it comes to rest")
        world.supervise(everything=True)
        crowd.leave()
        rest(world)
        crowd.phones.leave()
        rest(world)
        return Told(
            seed=seed,
            blows=blows,
            took_s=took_s,
            left_by_themselves=tuple(world.left_by_themselves),
            evidence=collect(world, crowd.journal, crowd.phones),
            logs=read_logs(crowd.stack),
            strikes=tuple(strikes),
        )


def _let_pass(crowd: Crowd, seconds: float) -> None:
    until = time.monotonic() + seconds
    busy_at = 0.0
    while (now := time.monotonic()) < until:
        crowd.world.supervise()
        if now >= busy_at:
            crowd.keep_busy()
            busy_at = now + BUSY_EVERY_S
        time.sleep(LOOK_S)


def _name_strikes(event: Event) -> Iterator[Strike]:
    """Yield what may leave a message in doubt: nothing that only people do."""
    if event.blow in KILLS:
        how = "restart" if event.detail == "restart" else "kill -9"
        yield Strike(utc_now(), f"{how} of {event.blow}")
    elif event.blow in BEGIN or event.blow in {Blow.FREEZE, Blow.HOLD, Blow.WEATHER}:
        yield Strike(utc_now(), f"{event.blow} {event.detail}".strip())


def _strike(crowd: Crowd, event: Event) -> None:
    world = crowd.world
    if event.blow in KILLS:
        how = signal.SIGINT if event.detail == "restart" else signal.SIGKILL
        world.kill(event.blow, event.target, event.lasts_s, how)
    elif event.blow in BEGIN:
        world.trouble(event.blow, event.target, event.lasts_s)
    elif event.blow is Blow.FREEZE:
        world.freeze(*world.choose_part(event.target), event.lasts_s)
    elif event.blow in {*DETAILS, Blow.HOLD, Blow.HOST}:
        _set(crowd, event)
    else:
        crowd.act(event)


def _set(crowd: Crowd, event: Event) -> None:
    world = crowd.world
    match event.blow:
        case Blow.HOST:
            crowd.journal.opened_within = SURELY_OPENED + HELD
            world.jump_host(event.lasts_s)
        case Blow.CLOCK:
            world.set_clock(event.target, timedelta(seconds=float(event.detail)))
        case Blow.HOLD:
            world.hold(event.target)
        case Blow.WEATHER:
            world.set_weather(event.detail, event.lasts_s)
        case Blow.MOOD:
            world.set_mood(event.detail, event.lasts_s)


def _tell(say: Say, event: Event, blows: Counter[Blow]) -> None:
    done = sum(blows[kind] for kind in KILLS)
    if event.blow in KILLS and done % 50 == 0:
        say(f"{done} kills")


#: What is left to do, in the order in which it comes to rest.
OPEN: Final = """
SELECT (SELECT count(*) FROM executions WHERE ended_at IS NULL)
     + (SELECT count(*) FROM send_batches WHERE done_at IS NULL)
     + (SELECT count(*) FROM deliveries WHERE state = 'claimed')
     + (SELECT count(*) FROM deliveries
         WHERE is_test AND state IN ('sent', 'in_doubt') AND tracked_at IS NULL)
     + (SELECT count(*) FROM send_batches WHERE tracked_at IS NULL)
     + (SELECT count(*) FROM erasures WHERE ended_at IS NULL)
     + (SELECT count(*) FROM event_inbox) + (SELECT count(*) FROM conversion_inbox)
"""


def rest(world: World) -> None:
    """Wait until nothing is left to do, or for as long as anything may take."""
    give_up_at = time.monotonic() + REST_S
    while time.monotonic() < give_up_at:
        world.supervise()
        if read_rows(world.stack.database_url, OPEN) == [(0,)]:
            return
        time.sleep(LOOK_S)
