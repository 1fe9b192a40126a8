"""The faults and the automations of the torture: pure functions of a seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Blow(StrEnum):
    """Something that happens to the system, or that somebody does to it."""

    KILL_ENGINE = "engine"
    KILL_WEB = "web"
    KILL_CADENCE = "cadence"
    KILL_POSTGRES = "PostgreSQL"
    CANCEL = "cancel"
    STOP = "stop"
    EDIT = "edit"
    PAUSE = "pause"
    RESUME = "resume"
    STOP_EVERYTHING = "emergency stop"
    WEATHER = "provider's weather"
    MOOD = "cadence's mood"
    READ_ONLY = "read-only database"
    NO_CONNECTIONS = "no connections"
    SERIALIZABLE = "serializable by default"
    FREEZE = "standstill"
    HOLD = "held interpreter"
    CLOCK = "clock"
    HOST = "clock of the host"


#: Of a hundred kills, how many hit which part.
KILLS: Final = {
    Blow.KILL_ENGINE: 58,
    Blow.KILL_WEB: 14,
    Blow.KILL_CADENCE: 14,
    Blow.KILL_POSTGRES: 14,
}
#: Of a hundred other events, how many are which.
ACTS: Final = {
    Blow.CANCEL: 12,
    Blow.STOP: 18,
    Blow.EDIT: 24,
    Blow.PAUSE: 12,
    Blow.RESUME: 12,
    Blow.STOP_EVERYTHING: 2,
    Blow.WEATHER: 12,
    Blow.MOOD: 8,
    Blow.READ_ONLY: 6,
    Blow.NO_CONNECTIONS: 6,
    Blow.SERIALIZABLE: 2,
    Blow.FREEZE: 8,
    Blow.HOLD: 4,
    Blow.CLOCK: 16,
}
#: After how many kills the clock of the host jumps for the first time, and how often then: engines
#: hold for more than a minute each time.
FIRST_HOST: Final = 50
HOST_EVERY: Final = 200
#: How many events are kills.
KILL_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Event:
    """A blow, so long after the one before, at one of its targets, and for how long.

    Units: of a kill, `lasts_s` is how long the part stays dead before it is started again.
    """

    after_s: float
    blow: Blow
    target: int
    lasts_s: float
    detail: str = ""


def plan_events(seed: int, kills: int, longest_pause_s: float = 1.8) -> Iterator[Event]:
    """Yield events up to the last of so many kills."""
    chance = random.Random(f"events {seed}")  # noqa: S311 - repeatable, no secret
    done = 0
    while kills:
        is_kill = chance.random() < KILL_SHARE
        kinds = KILLS if is_kill else ACTS
        blow = chance.choices(list(kinds), list(kinds.values()))[0]
        yield Event(
            after_s=chance.uniform(0.2, longest_pause_s),
            blow=blow,
            target=chance.randrange(1_000),
            lasts_s=_duration(chance, blow),
            detail=_detail(chance, blow),
        )
        kills -= is_kill
        done += is_kill
        if kills and is_kill and done % HOST_EVERY == FIRST_HOST:
            yield Event(after_s=1, blow=Blow.HOST, target=0, lasts_s=8)


def _duration(chance: random.Random, blow: Blow) -> float:
    if blow in KILLS:
        return chance.uniform(0, 1.5)
    # Longer than an engine may be silent before its work is given away.
    return chance.uniform(2, 6) if blow is Blow.FREEZE else chance.uniform(1, 4)


#: What else there is to choose about a blow.
DETAILS: Final = {
    Blow.WEATHER: ("slow", "down", "busy", "hostile"),
    Blow.KILL_POSTGRES: ("kill", "restart"),
    Blow.MOOD: ("SLOW", "AWAY", "FAILING", "NONSENSE"),
    # By how many seconds the clock of an engine is ahead from then on.
    Blow.CLOCK: ("+7200", "-7200", "+300", "-300", "+3", "0"),
}


def _detail(chance: random.Random, blow: Blow) -> str:
    return chance.choice(DETAILS[blow]) if blow in DETAILS else ""


class Start(StrEnum):
    """What makes a run begin."""

    BY_HAND = "by hand"
    AT_ITS_SLOT = "at its slot"
    IN_THE_GAP = "at a wall time that the clocks skip"
    IN_THE_FOLD = "at a wall time that comes twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One automation that runs once: who is meant, on which layers, and how its parts behave.

    Shape: users are numbers from `first` on; a push has its layer and its delay.
    """

    id: str
    start: Start
    first: int
    users: int
    pushes: tuple[tuple[int, timedelta], ...]
    window: timedelta
    is_tested: bool
    in_doubt: str
    fail_policy: str
    script: str
    due_in: timedelta


USERS: Final = 120
#: Neighbours share users, so that the caps of each user are asked for by several runs at once.
STEP: Final = 40
FIRST_USER: Final = 10_000
LAYERS: Final = ((3, 2), (2, 2), (3, 5), (1, 3), (5, 2), (2, 3))
SCRIPTS: Final = {"well": 86, "slow": 7, "failing": 3, "hanging": 4}


def plan_run(seed: int, number: int, start: Start | None = None) -> Run:
    """Return the run of this number."""
    chance = random.Random(f"run {seed} {number} {start}")  # noqa: S311 - repeatable, no secret
    kind = start or chance.choices([Start.BY_HAND, Start.AT_ITS_SLOT], [70, 30])[0]
    return Run(
        id=f"run-{number}" if start is None else f"{start.name.lower()}-{number}".replace("_", "-"),
        start=kind,
        first=FIRST_USER + STEP * number,
        users=USERS,
        pushes=tuple(
            (layer, timedelta(seconds=round(chance.uniform(0, 1.5), 2) if position else 0))
            for position, layer in enumerate(chance.choice(LAYERS))
        ),
        window=timedelta(seconds=round(chance.uniform(0.3, 1.5), 2)),
        is_tested=chance.random() < 0.5,
        in_doubt="resend" if chance.random() < 0.75 else "skip",
        fail_policy="open" if chance.random() < 0.6 else "closed",
        script=chance.choices(list(SCRIPTS), list(SCRIPTS.values()))[0],
        due_in=timedelta(seconds=chance.randint(2, 6)),
    )
