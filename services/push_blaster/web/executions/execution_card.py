"""An execution as pages show it: how far it is, what may be done, where people were lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.funnel import read_funnel
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import BEFORE_LIVE, Phase

#: The phases that a live execution walks through, as people call them.
STATIONS: Final = (
    (Phase.WAITING, "Waiting"),
    (Phase.AUDIENCE_GENERATION, "Audience"),
    (Phase.TEST_SENDING, "Test"),
    (Phase.CANCELLATION_WINDOW, "Window"),
    (Phase.LIVE_EXECUTION, "Live"),
)

#: Whoever has no outcome yet: had no turn, is being sent to, or is tried again later.
TO_GO: Final = ("notSent", "inFlight", "deferred", "held")
#: What became of those who got no message, in the order of the funnel.
LOSSES: Final = (
    ("quietHours", "In quiet hours"),
    ("localTimePassed", "The time had passed there"),
    ("notInTime", "The turn came too late"),
    ("noToken", "No device"),
    ("missingVariable", "A variable was missing"),
    ("badDeepLink", "Deep link not allowed"),
    ("tooLong", "Too long for the device"),
    ("failed", "Refused by the provider"),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One labelled bar: how many, and which share of the whole."""

    label: str
    users: int
    percent: float
    tone: str


@dataclass(frozen=True, slots=True)
class Card:
    """An execution, and what is worked out from it for a page."""

    execution: Execution
    funnels: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.execution.id

    @property
    def zone(self) -> str:
        """The zone that its times are told in."""
        return self.execution.automation.schedule.timezone

    @property
    def can_cancel(self) -> bool:
        """Whether a cancel is enough to stop all of it."""
        return self.execution.phase in BEFORE_LIVE

    @property
    def is_live(self) -> bool:
        """Whether it goes, or will go, to its whole audience."""
        return self.execution.mode is Mode.LIVE

    @property
    def audience(self) -> int:
        """How many distinct users its pushes are meant for."""
        return self.total("distinct")

    @property
    def decided(self) -> int:
        """How many of them have their outcome."""
        return self.audience - sum(self.total(name) for name in TO_GO)

    def total(self, name: str) -> int:
        """Return a count of the funnel, of all pushes together."""
        return sum(int(funnel.get(name, 0)) for funnel in self.funnels)

    @property
    def stations(self) -> list[tuple[str, str]]:
        """Return the phases with `done`, `here` or `ahead`."""
        phases = [phase for phase, _ in STATIONS]
        here = phases.index(self.execution.phase) if self.execution.phase in phases else len(phases)
        return [
            (label, "done" if n < here else "here" if n == here else "ahead")
            for n, (_, label) in enumerate(STATIONS)
        ]

    def bars(self, number: int) -> list[Bar]:
        """Return the funnel of one push as bars: sent, held back by rule, lost, and still to go."""
        funnel = self.funnels[number]
        whole = max(1, int(funnel["distinct"]))

        def bar(label: str, users: int, tone: str) -> Bar:
            return Bar(label, users, round(users * 100 / whole, 1), tone)

        delivered = "wouldSend" if funnel["wouldSend"] else "sent"
        bars = [bar("Would be sent" if funnel["wouldSend"] else "Sent", funnel[delivered], "good")]
        variants = funnel.get("variants", {}).items()
        bars += [bar(f"Variant {name}: sent", own["sent"], "good") for name, own in variants]
        rules = sorted(funnel["exclusionBreakdown"].items(), key=lambda item: -item[1])
        bars += [bar(f"Held back by {rule}", users, "held") for rule, users in rules]
        bars.append(bar("Held out", funnel.get("holdout", 0), "held"))
        bars.append(bar("Sent before the stop", funnel.get("sentBefore", 0), "good"))
        bars += [bar(label, funnel.get(name, 0), "bad") for name, label in LOSSES]
        bars += [
            bar("In doubt", funnel["inDoubt"], "bad"),
            bar("Not sent", sum(funnel.get(name, 0) for name in TO_GO), "calm"),
        ]
        return [b for b in bars if b.users or b.label in {"Sent", "Would be sent"}]


def make_card(execution: Execution, counted: Mapping[int, dict[str, Any]] | None = None) -> Card:
    """Return the card of an execution; `counted` are the ledger's counts while it runs."""
    funnels = tuple(
        push.funnel or read_funnel(push, (counted or {}).get(push.position))
        for push in execution.pushes
    )
    return Card(execution, funnels)
