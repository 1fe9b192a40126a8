"""Forecast a sequence of pushes to one audience: a push counts the pushes before it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cadence_service.adapters.notification_history import select_sends
from cadence_service.adapters.rule_table import select_layers, select_rule_set
from cadence_service.domain.cadence import Send, replay
from cadence_service.domain.user_ids import UserIds
from cadence_service.use_cases.filter_audience import read_rules
from cadence_service.use_cases.forecast_reach import PAGE
from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True)
class PushForecast:
    """How many users would get a push, and how many each rule would cap.

    Shape: if nobody is checked, `fault` says why.
    """

    eligible: int
    capped: dict[str, int]
    fault: str | None


def forecast_pushes(
    connection: BulkConnection, users: UserIds, pushes: Sequence[Send]
) -> list[PushForecast]:
    """Return the effect of each of `pushes`, in their order, if they go to `users`.

    A push counts recorded sends, reserved slots, and earlier pushes to the users who would get
    them. Nothing is changed, and nothing is reserved.
    """
    rule_set = select_rule_set(connection)
    rules = rule_set.rules if rule_set else ()
    exempt = [layer.id for layer in select_layers(connection) if layer.is_exempt]
    faults = {
        layer_id: read_rules(connection, layer_id).fault
        for layer_id in {push.layer_id for push in pushes}
    }
    longest = max((rule.window for rule in rules), default=timedelta(0))
    instants = [push.sent_at for push in pushes]
    span = min(instants) - longest, max(instants) + longest
    verdicts: Counter[tuple[str | None, ...]] = Counter()
    for first in range(0, len(users), PAGE):
        page = users[first : first + PAGE]
        histories = select_sends(connection, page, *span)
        verdicts.update(tuple(replay(rules, exempt, h, pushes)) for h in histories.values())
        verdicts[tuple(replay(rules, exempt, [], pushes))] += len(page) - len(histories)
    return [_count(verdicts, number, faults[push.layer_id]) for number, push in enumerate(pushes)]


def _count(
    verdicts: "Counter[tuple[str | None, ...]]", number: int, fault: str | None
) -> PushForecast:
    capped: Counter[str] = Counter()
    for each, users in verdicts.items():
        rule = each[number]
        if rule is not None:
            capped[rule] += users
    return PushForecast(verdicts.total() - capped.total(), dict(capped), fault)
