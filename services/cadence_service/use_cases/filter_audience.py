"""Filter an audience: whom a push on a layer may go to at an instant."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import compress, pairwise
from typing import Final, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from cadence_service.adapters.cap_check import CapQuestion, find_suspects
from cadence_service.adapters.check_metrics import FAILED_OPEN
from cadence_service.adapters.exclusion_table import Exclusion
from cadence_service.adapters.notification_history import select_sends
from cadence_service.adapters.reservation_table import Reservation
from cadence_service.adapters.rule_table import select_layers, select_rule_set
from cadence_service.domain.cadence import (
    CadenceRule,
    find_breach,
    find_next_eligible,
    find_rules,
)
from cadence_service.domain.user_ids import AskedIds, UserIds
from chassis.postgres import BulkConnection, BulkDatabase, DatabaseAwayError, DatabaseFaultError

log = structlog.get_logger()

Indexes = NDArray[np.int64]
_Given = TypeVar("_Given")
_Found = TypeVar("_Found")

_NOBODY: Final = np.empty(0, dtype=np.int64)

#: How many connections one request works on.
LANES: Final = 2
#: From so many users on, a question is worth a second connection.
SPLIT_FROM: Final = 20_000


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked for, on which layer, at which instant, and whether reasons are wanted."""

    asked: AskedIds
    layer_id: int
    at: datetime
    explain: bool = False


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """What a layer is judged by at present.

    Shape: no `rules` means that everybody passes; that is as it should be where the layer is
    exempt, and a `fault` where it is not.
    """

    version: int | None
    rules: Sequence[CadenceRule] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class FilteredAudience:
    """The answer: who is held back, by the rule that does it; everybody else may be sent to.

    Shape: `held_back` has indexes into the users of `asked`; `exclusions` say why in full, by such
    an index, where that was wanted.
    """

    asked: AskedIds
    held_back: Mapping[str, Indexes] = field(default_factory=dict)
    exclusions: Mapping[int, Exclusion] = field(default_factory=dict)
    fail_open_reason: str | None = None
    reservation: Reservation | None = None

    @property
    def breakdown(self) -> dict[str, int]:
        """How many each rule holds back."""
        return {rule: len(indexes) for rule, indexes in self.held_back.items()}

    @property
    def eligible(self) -> list[str]:
        """Who may be sent to, in the caller's spelling and order."""
        is_eligible = np.zeros(self.asked.count, dtype=bool)
        is_eligible[self.asked.users.positions] = True
        for indexes in self.held_back.values():
            is_eligible[self.asked.users.positions[indexes]] = False
        return list(compress(self.asked.texts, is_eligible.tolist()))


def filter_audience(database: BulkDatabase, question: Question) -> FilteredAudience:
    """Judge every user of the question; if that cannot be done, let everybody valid through.

    Failing open is told in the answer, and in the log.
    """
    try:
        with database.transaction() as connection:
            in_force = read_rules(connection, question.layer_id)
        if in_force.fault:
            return fail_open(question, in_force.fault)
        held_back = _judge_all(database, question, in_force.rules)
        exclusions = _explain_all(database, question, in_force.rules, held_back)
    except (DatabaseAwayError, DatabaseFaultError) as error:
        return fail_open(question, say(error))
    return FilteredAudience(question.asked, held_back, exclusions)


def read_rules(connection: BulkConnection, layer_id: int) -> RulesInForce:
    """Return the rules that a push on this layer is checked against."""
    rule_set = select_rule_set(connection)
    version = rule_set.version if rule_set else None
    layers = {layer.id: layer for layer in select_layers(connection)}
    if layer_id in layers and layers[layer_id].is_exempt:
        return RulesInForce(version)
    if rule_set is None:
        return RulesInForce(None, fault="there are no cadence rules at all")
    rules = find_rules(rule_set.rules, layer_id)
    if not rules:
        return RulesInForce(version, fault=f"no active cadence rule applies to layer {layer_id}")
    return RulesInForce(version, rules)


def explain(
    connection: BulkConnection, users: UserIds, rules: Sequence[CadenceRule], at: datetime
) -> dict[int, Exclusion]:
    """Return why each of `users` who is held back is, by index; the others are left out.

    Every later send is looked at: until when a user is held back may depend on it.
    """
    if not len(users) or not rules:
        return {}
    longest = max(rule.window for rule in rules)
    history = select_sends(connection, users, at - longest)
    exclusions: dict[int, Exclusion] = {}
    for index, user in enumerate(users):
        sends = history.get(user, [])
        breach = find_breach(rules, sends, at)
        if breach:
            next_at = find_next_eligible(rules, sends, at)
            exclusions[index] = Exclusion(user, breach.rule.name, breach.counted, next_at)
    return exclusions


def in_lanes(work: Callable[[_Given], _Found], given: Sequence[_Given]) -> list[_Found]:
    """Return what `work` makes of each of `given`, a few of them at a time."""
    if len(given) < LANES:
        return [work(one) for one in given]
    # What is known of the request, such as who waits for its answer, is known in each lane.
    contexts = [copy_context() for _ in given]
    with ThreadPoolExecutor(LANES) as lanes:
        return list(lanes.map(lambda context, one: context.run(work, one), contexts, given))


def put_together(
    rules: Sequence[CadenceRule], parts: Sequence[Mapping[str, Indexes]]
) -> dict[str, Indexes]:
    """Return who is held back in any of `parts`, by rule; each of `rules` has an entry."""
    names = dict.fromkeys([rule.name for rule in rules] + [name for part in parts for name in part])
    return {
        name: np.concatenate([part[name] for part in parts if name in part] or [_NOBODY])
        for name in names
    }


def fail_open(question: Question, reason: str) -> FilteredAudience:
    """Let everybody valid through, and say why in the answer and in the log."""
    warn_open(question, reason)
    return FilteredAudience(question.asked, fail_open_reason=reason)


def warn_open(question: Question, reason: str) -> None:
    """Log that everybody was let through."""
    FAILED_OPEN.inc()
    users = len(question.asked.users)
    log.warning("cadence_failed_open", layer=question.layer_id, users=users, reason=reason)


def say(error: Exception) -> str:
    """Return the first line of what a database said."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _judge_all(
    database: BulkDatabase, question: Question, rules: Sequence[CadenceRule]
) -> dict[str, Indexes]:
    """Return who is held back by which rule; a large audience in ranges, on two connections."""
    users = question.asked.users
    ranges = 1 if len(users) < SPLIT_FROM else LANES
    edges = np.linspace(0, len(users), ranges + 1, dtype=np.int64).tolist()
    spans = [slice(a, b) for a, b in pairwise(edges)] if rules and len(users) else []
    return put_together(rules, in_lanes(partial(_judge_range, database, question, rules), spans))


def _judge_range(
    database: BulkDatabase, question: Question, rules: Sequence[CadenceRule], span: slice
) -> dict[str, Indexes]:
    users = question.asked.users[span]
    with database.transaction() as connection:
        suspects = find_suspects(connection, CapQuestion(users, rules, question.at))
        unclear = explain(connection, users[suspects.unclear], rules, question.at)
    judged = {rule.name: [found] for rule, found in zip(rules, suspects.blocked, strict=True)}
    for index, exclusion in unclear.items():
        judged[exclusion.rule].append(suspects.unclear[index : index + 1])
    return {rule: np.concatenate(parts) + span.start for rule, parts in judged.items()}


def _explain_all(
    database: BulkDatabase,
    question: Question,
    rules: Sequence[CadenceRule],
    held_back: Mapping[str, Indexes],
) -> dict[int, Exclusion]:
    if not question.explain or not held_back:
        return {}
    indexes = np.sort(np.concatenate(list(held_back.values())))
    with database.transaction() as connection:
        found = explain(connection, question.asked.users[indexes], rules, question.at)
    return {int(indexes[place]): exclusion for place, exclusion in found.items()}
