"""An execution as pages show it: its progress, and the steps at which users were lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from push_blaster.domain.delivery.ledger import LedgerCounts
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.funnel import COUNTS, Funnel, Group, add_funnels
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase

#: The phases of a live execution, by the names on pages.
STATIONS: Final = (
    (Phase.WAITING, "Waiting"),
    (Phase.AUDIENCE_GENERATION, "Audience"),
    (Phase.TEST_SENDING, "Test"),
    (Phase.CANCELLATION_WINDOW, "Window"),
    (Phase.LIVE_EXECUTION, "Live"),
)

#: How the counts of a group of the funnel are coloured.
TONES: Final = {Group.REACHED: "good", Group.LEFT_OUT: "held", Group.LOST: "bad"}
#: The counts that have bars of their own.
_SHOWN_APART: Final = frozenset({"sent", "would_send", "excluded"})


@dataclass(frozen=True, slots=True)
class Bar:
    """One labelled bar: a number, and its share of the whole."""

    label: str
    users: int
    percent: float
    tone: str


@dataclass(frozen=True, slots=True)
class Card:
    """An execution, and the values that pages derive from it."""

    execution: Execution
    funnels: tuple[Funnel, ...]

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.execution.id

    @property
    def zone(self) -> str:
        """The zone of the times that pages show."""
        return self.execution.automation.schedule.timezone

    @property
    def is_live(self) -> bool:
        """Whether the execution goes, or will go, to its whole audience."""
        return self.execution.mode is Mode.LIVE

    @property
    def audience(self) -> int:
        """How many distinct users its pushes are meant for."""
        return self.totals.distinct

    @property
    def decided(self) -> int:
        """How many of these users have their outcome."""
        return self.audience - self.totals.unsettled

    @property
    def totals(self) -> Funnel:
        """Return the counts of all pushes together."""
        return add_funnels(self.funnels)

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
        """Return the funnel of one push as bars: sent, capped by rule, lost, and still open."""
        funnel = self.funnels[number]
        whole = max(1, funnel.distinct)

        def bar(label: str, users: int, tone: str) -> Bar:
            return Bar(label[0].upper() + label[1:], users, round(users * 100 / whole, 1), tone)

        delivered = "would_send" if funnel.would_send else "sent"
        bars = [bar(COUNTS[delivered].label, getattr(funnel, delivered), "good")]
        variants = funnel.variants.items()
        bars += [bar(f"Variant {name}: sent", own.sent, "good") for name, own in variants]
        rules = sorted(funnel.exclusion_breakdown.items(), key=lambda item: -item[1])
        bars += [bar(f"Capped by {rule}", users, "held") for rule, users in rules]
        bars += [
            bar(one.label, one.users, TONES[one.group])
            for one in funnel.list_counts(*TONES)
            if one.name not in _SHOWN_APART
        ]
        if funnel.unsettled:
            label = "not sent" if self.execution.has_ended else COUNTS["not_sent"].label
            bars.append(bar(label, funnel.unsettled, "calm"))
        return bars


def make_card(execution: Execution, counted: Mapping[int, LedgerCounts] | None = None) -> Card:
    """Return the card of an execution; `counted` are the ledger's counts while it runs."""
    funnels = tuple(
        push.read_funnel((counted or {}).get(push.position)) for push in execution.pushes
    )
    return Card(execution, funnels)
