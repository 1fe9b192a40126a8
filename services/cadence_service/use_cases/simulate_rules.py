"""Simulate other rules: replay recorded history, and count the sends that they cap."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter

from cadence_service.adapters.notification_history import PastSend, stream_history
from cadence_service.adapters.rule_table import select_layers
from cadence_service.domain.cadence import CadenceRule, Send, replay
from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The part of history to replay: from `start` to before `end`, for a share of the users."""

    start: datetime
    end: datetime
    share: float


@dataclass(slots=True)
class Simulation:
    """The effect that other rules would have had, as counts of sends and of users.

    Shape: `outcomes` by (layer, day in UTC, rule that caps or None).
    """

    outcomes: Counter[tuple[int, date, str | None]] = field(default_factory=Counter)
    users: int = 0
    users_affected: int = 0


def simulate_rules(
    connection: BulkConnection, rules: Iterable[CadenceRule], span: Span
) -> Simulation:
    """Replay the sends of the span, user by user, under `rules`; nothing is changed.

    Sends shortly before the span count as they happened. Memory does not grow with history.
    """
    exempt = [layer.id for layer in select_layers(connection) if layer.is_exempt]
    rules = list(rules)
    longest = max((rule.window for rule in rules), default=timedelta(0))
    simulation = Simulation()
    rows = stream_history(connection, span.start - longest, span.end, span.share)
    for _, history in groupby(rows, key=attrgetter("user_id")):
        _replay_user(simulation, rules, exempt, span, history)
    return simulation


def _replay_user(
    simulation: Simulation,
    rules: Sequence[CadenceRule],
    exempt: Collection[int],
    span: Span,
    history: Iterable[PastSend],
) -> None:
    sends = [Send(past.layer_id, past.sent_at) for past in history]
    before = [send for send in sends if send.sent_at < span.start]
    within = sends[len(before) :]
    if not within:
        return
    verdicts = replay(rules, exempt, before, within)
    for send, rule in zip(within, verdicts, strict=True):
        simulation.outcomes[send.layer_id, send.sent_at.date(), rule] += 1
    simulation.users += 1
    simulation.users_affected += any(rule is not None for rule in verdicts)
