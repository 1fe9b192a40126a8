"""An execution as pages show it: its progress, and the steps at which users were lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from chassis.postgres import Connection
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.audiences.audience import read_user_ids
from push_blaster.domain.cadence.names import name_rule
from push_blaster.domain.delivery.user_time import find_awaited_time
from push_blaster.domain.executions.execution import Execution, PushProgress, PushStatus
from push_blaster.domain.executions.funnel import COUNTS, Funnel, Group, LabelledCount, add_funnels
from push_blaster.domain.executions.modes import Mode, is_dry
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.timeline import find_wall_time
from push_blaster.domain.schedule.finding import spell_instant

#: The phases of a live execution, by the names on pages.
STATIONS: Final = (
    (Phase.WAITING, "Waiting"),
    (Phase.AUDIENCE_GENERATION, "Audience"),
    (Phase.TEST_SENDING, "Test"),
    (Phase.CANCELLATION_WINDOW, "Window"),
    (Phase.LIVE_EXECUTION, "Live"),
)

#: How the counts of a group of the funnel are coloured.
TONES: Final = {
    Group.REACHED: "good",
    Group.LEFT_OUT: "held",
    Group.LOST: "bad",
    Group.OPEN: "calm",
}
#: The counts that have bars of their own.
_SHOWN_APART: Final = frozenset({"sent", "would_send", "excluded", "held"})


class Badge(NamedTuple):
    """A status, which gives the colour, and the text for it, if it has text of its own."""

    status: str
    text: str | None = None


def find_badge(phase: str, funnels: Iterable[Funnel]) -> Badge:
    """Return the phase of an execution; one that is completed and reached nobody is not green."""
    if phase == Phase.COMPLETED and all(funnel.reaches_nobody for funnel in funnels):
        return Badge("warning", "Completed, nobody reached")
    return Badge(phase)


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
    def strange_testers(self) -> list[str]:
        """Return the named test users that are no user id, so that nobody got their test."""
        return read_user_ids(self.execution.automation.settings.test_user_ids)[1]

    @property
    def badge(self) -> Badge:
        """Return how pages show its phase."""
        return find_badge(self.execution.phase, self.funnels)

    @property
    def delivered(self) -> tuple[int, str]:
        """Return how many users were sent to, and what else it was than a send."""
        totals = self.totals
        if is_dry(self.execution.mode):
            return totals.would_send, "would have been sent"
        return totals.sent, "simulated" if self.execution.is_simulation else ""

    @property
    def waits(self) -> str:
        """Return who waits for the winner or the user's own time; empty if nobody does."""
        held = [(f.held, self._await(at)) for at, f in enumerate(self.funnels) if f.held]
        return ", ".join(f"{users} wait {until}" for users, until in held)

    @property
    def stations(self) -> list[tuple[str, str]]:
        """Return the phases with `done`, `here` or `ahead`."""
        phases = [phase for phase, _ in STATIONS]
        here = phases.index(self.execution.phase) if self.execution.phase in phases else len(phases)
        return [
            (label, "done" if n < here else "here" if n == here else "ahead")
            for n, (_, label) in enumerate(STATIONS)
        ]

    def push_badge(self, number: int) -> Badge:
        """Return the status of one push: whom it waits for, and whether it reached anybody."""
        push, funnel = self.execution.pushes[number], self.funnels[number]
        if push.status is PushStatus.SENDING and funnel.held and funnel.held == funnel.unsettled:
            awaited = "for the winner" if _is_undecided(push) else self._await(number)
            return Badge("deferred", f"Waits {awaited}")
        if push.status is not PushStatus.SENT:
            return Badge(push.status)
        if funnel.reaches_nobody:
            return Badge("warning", "Nobody reached")
        return Badge("sent", "Tried out" if is_dry(self.execution.mode) else None)

    def _await(self, number: int) -> str:
        push = self.execution.pushes[number]
        if push.decision and _is_undecided(push):
            return f"for the winner until {spell_instant(push.decision.decides_at, self.zone)}"
        wall_time = find_wall_time(self.execution, number + 1).time()
        awaited = find_awaited_time(self.execution.automation.settings, wall_time)
        return f"until {awaited:%H:%M} their time" if awaited else "for their send window"

    def bars(self, number: int) -> list[Bar]:
        """Return the funnel of one push as bars: sent, capped by rule, lost, and still open."""
        funnel = self.funnels[number]
        whole = max(1, funnel.distinct)

        def bar(label: str, users: int, tone: str) -> Bar:
            return Bar(label[0].upper() + label[1:], users, round(users * 100 / whole, 1), tone)

        delivered = "would_send" if funnel.would_send else "sent"
        bars = [bar(COUNTS[delivered].label, getattr(funnel, delivered), "good")]
        bars += [
            bar(f"Variant {one.id}: sent", funnel.variants[one.id].sent, "good")
            for one in self.execution.automation.pushes[number].variants
            if one.id in funnel.variants
        ]
        decision = self.execution.pushes[number].decision
        if decision and decision.variant:
            others = funnel.sent - sum(own.sent for own in funnel.variants.values())
            bars.append(bar(f"The others, with {decision.variant}: sent", others, "good"))
        rules = sorted(funnel.exclusion_breakdown.items(), key=lambda item: -item[1])
        bars += [
            bar(f"Capped by cadence: {name_rule(rule)}", users, "held") for rule, users in rules
        ]
        if funnel.held:
            bars.append(bar(f"wait {self._await(number)}", funnel.held, "held"))
        bars += [
            bar(self._label(one), one.users, TONES[one.group])
            for one in funnel.list_counts(*TONES)
            if one.name not in _SHOWN_APART
        ]
        return bars

    def _label(self, count: LabelledCount) -> str:
        will_not = count.name == "not_sent" and self.execution.has_ended
        return "not sent" if will_not else count.label


def _is_undecided(push: PushProgress) -> bool:
    return push.decision is not None and push.decision.decided_at is None


def make_cards(connection: Connection, executions: Sequence[Execution]) -> list[Card]:
    """Return the cards of executions, whether they run or have ended."""
    funnels = select_funnels(connection, [execution.id for execution in executions])
    return [
        Card(one, tuple(funnels[one.id][push.position] for push in one.pushes))
        for one in executions
    ]
