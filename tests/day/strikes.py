"""How each fault is done to the system."""

import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from chassis.clock import utc_now
from tests.day.faults import EFFECTS, Kind, Struck
from tests.day.visitors import BY_HAND, Visitors
from tests.torture.schedule import Blow
from tests.torture.world import World

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
#: What is started by hand for a fault, and hit by it alone.
STARTED: Final = {
    Kind.SCRIPT_FAILS: "script-fails",
    Kind.SCRIPT_HANGS: "script-hangs",
    Kind.STOP: "is-stopped",
    Kind.CANCEL: "is-cancelled",
}


def strike(visitors: Visitors, kind: Kind) -> Struck:
    """Inject a fault; whatever lasts ends by itself."""
    since, lasts_s = utc_now(), EFFECTS[kind].lasts_s
    if kind in BLOWS:
        _strike_parts(visitors.world, kind, lasts_s)
    elif kind in WEATHERS:
        visitors.world.set_weather(WEATHERS[kind], lasts_s)
    elif kind in MOODS:
        visitors.world.set_mood(MOODS[kind], lasts_s)
    else:
        _find_act(visitors, kind, lasts_s)()
    return Struck(kind, since, since + timedelta(seconds=lasts_s), STARTED.get(kind))


def _strike_parts(world: World, kind: Kind, lasts_s: float) -> None:
    blow, number, how = BLOWS[kind]
    world.kill(blow, number, lasts_s, how)
    if kind is Kind.ENGINES:
        world.freeze(Blow.KILL_ENGINE, 0, lasts_s)


def _find_act(visitors: Visitors, kind: Kind, lasts_s: float) -> Callable[[], None]:
    """Return what people do."""
    acts: dict[Kind, Callable[[], None]] = {
        Kind.SCRIPT_FAILS: lambda: visitors.start("script-fails"),
        Kind.SCRIPT_HANGS: lambda: visitors.start("script-hangs"),
        Kind.STOP: lambda: visitors.end("is-stopped", "stop", "live_execution"),
        Kind.CANCEL: lambda: visitors.end("is-cancelled", "cancel", "cancellation_window"),
        Kind.FULL_QUEUE: lambda: visitors.start(*(n for n in BY_HAND if n.startswith("crowd-"))),
        Kind.EDIT: visitors.edit_at_once,
        Kind.STOP_EVERYTHING: lambda: visitors.stop_everything(lasts_s),
        Kind.BROKEN_FILE: lambda: visitors.break_file(lasts_s),
    }
    return acts[kind]
