"""The faults of the day, one a minute in turns, with the alerts that may and must follow."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """A fault, in the words of the report."""

    ENGINE = "an engine killed"
    REPLICA = "a cadence replica killed"
    SCRIPT_FAILS = "a script that fails"
    PROVIDER_BUSY = "the provider says 429"
    EDIT = "two people edit one automation"
    CADENCE_AWAY = "cadence away"
    WEB = "the web killed"
    STOP = "a live send stopped"
    PROVIDER_DOWN = "the provider says 503"
    POSTGRES = "PostgreSQL killed"
    SCRIPT_HANGS = "a script that hangs"
    CADENCE_SLOW = "cadence slow"
    ENGINES = "one engine killed, the other frozen"
    CANCEL = "an execution cancelled in its window"
    PROVIDER_SLOW = "the provider slow"
    BROKEN_FILE = "an automation's file broken"
    CADENCE_NONSENSE = "cadence talks nonsense"
    FULL_QUEUE = "a full queue"
    PROVIDER_AWAY = "the provider cuts every connection"
    RESTART = "PostgreSQL restarted in order"
    STOP_EVERYTHING = "everything stopped, then resumed"
    CLOSING = "every automation paused at the end"


@dataclass(frozen=True, slots=True)
class Effect:
    """How long a fault lasts, and which alerts, and messages of the webhook, it explains.

    Shape: `raises` are those that must come; alerts have capitals, events of executions none.
    Units: `echo_s` is how long after its end it may still be heard of.
    """

    lasts_s: float = 0
    explains: frozenset[str] = frozenset()
    raises: frozenset[str] = frozenset()
    echo_s: float = 75

    @property
    def heard(self) -> frozenset[str]:
        """Return all that it may be heard of by."""
        return self.explains | self.raises


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was injected, from when to when, and on which automation alone, if on one."""

    kind: Kind
    since: datetime
    until: datetime
    automation_id: str | None = None

    def explains(self, name: str, at: datetime, automation_id: str | None = None) -> bool:
        """Whether it explains that this was heard then, perhaps of an automation."""
        effect = EFFECTS[self.kind]
        is_its = None in {automation_id, self.automation_id} or automation_id == self.automation_id
        is_near = self.since <= at <= self.until + timedelta(seconds=effect.echo_s)
        return is_its and is_near and name in effect.heard


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: A live send that began late is told, and the alert looks back for some minutes.
BEGAN_LATE: Final = _names("LiveSendsLate ViolationsOpen")
#: An unchecked send raises an alert; with `failPolicy: closed` the execution fails instead.
UNCHECKED: Final = BEGAN_LATE | _names(
    "SentUnchecked fail_open failure ExecutionsFail CapChecksSlow skipped"
)
FAILED: Final = _names("ExecutionsFail failure")
#: What goes out late may still go out when the next slot comes; and a test waits for nobody.
LATE: Final = FAILED | BEGAN_LATE | _names("ProviderDefers skipped")
#: A step that an engine or the database left begins again.
AGAIN: Final = BEGAN_LATE | _names("StepsRepeated")
NO_DATABASE: Final = (
    UNCHECKED | AGAIN | _names("CadenceAway CadenceFailsOpen RequestsFail EngineDown EngineLost")
)
DATABASES: Final = _names("PushDatabaseAway CadenceDatabaseAway")
EFFECTS: Final = {
    Kind.ENGINE: Effect(3, AGAIN),
    Kind.REPLICA: Effect(5, _names("CadenceReplicaLost")),
    Kind.SCRIPT_FAILS: Effect(raises=FAILED),
    Kind.PROVIDER_BUSY: Effect(20, LATE, echo_s=180),
    Kind.EDIT: Effect(),
    Kind.CADENCE_AWAY: Effect(20, UNCHECKED, _names("CadenceAway fail_open")),
    Kind.WEB: Effect(15, raises=_names("WebAway")),
    Kind.STOP: Effect(raises=_names("cancelled")),
    Kind.PROVIDER_DOWN: Effect(20, LATE, echo_s=120),
    Kind.POSTGRES: Effect(5, NO_DATABASE | DATABASES),
    Kind.SCRIPT_HANGS: Effect(25, raises=FAILED),
    Kind.CADENCE_SLOW: Effect(20, UNCHECKED | _names("CadenceAway")),
    Kind.ENGINES: Effect(
        30, AGAIN | _names("SlotsLate SlotsMissed missed skipped EngineLost"), _names("EngineDown")
    ),
    Kind.CANCEL: Effect(raises=_names("cancelled")),
    Kind.PROVIDER_SLOW: Effect(20, LATE),
    Kind.BROKEN_FILE: Effect(30, raises=_names("BrokenAutomations")),
    Kind.CADENCE_NONSENSE: Effect(20, UNCHECKED | _names("CadenceAway"), _names("fail_open")),
    Kind.FULL_QUEUE: Effect(20, BEGAN_LATE | _names("skipped QueueGrows")),
    Kind.PROVIDER_AWAY: Effect(10, LATE, echo_s=120),
    Kind.RESTART: Effect(15, NO_DATABASE, DATABASES),
    Kind.STOP_EVERYTHING: Effect(10, _names("cancelled")),
    Kind.CLOSING: Effect(explains=_names("cancelled")),
}
#: The faults that are injected, in this order, again and again.
IN_TURN: Final = tuple(kind for kind in Kind if kind is not Kind.CLOSING)
