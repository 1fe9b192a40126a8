"""Filter an audience: find the users that a push on a layer may go to at an instant."""

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
from cadence_service.domain.cadence import CadenceRule, find_breach, find_next_eligible, find_rules
from cadence_service.domain.user_ids import LANES, AskedIds, UserIds
from chassis.postgres import (
    BulkConnection,
    BulkDatabase,
    DatabaseAwayError,
    DatabaseFaultError,
    PoolFullError,
)

log = structlog.get_logger()

Indexes = NDArray[np.int64]
_Given = TypeVar("_Given")
_Found = TypeVar("_Found")

_NOBODY: Final = np.empty(0, dtype=np.int64)

#: From so many users on, a question is worth a second connection.
SPLIT_FROM: Final = 20_000


@dataclass(frozen=True, slots=True)
class Question:
    """An audience, a layer, an instant, and whether the answer gives reasons."""

    asked: AskedIds
    layer_id: int
    at: datetime
    explain: bool = False


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The rules that apply to a layer at present.

    Shape: without `rules` everybody passes; `fault` says why, unless the layer is exempt.
    """

    version: int | None
    rules: Sequence[CadenceRule] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class FilteredAudience:
    """The answer: the users that each rule caps; every other user may get the push.

    Shape: `capped` has indexes into the users of `asked`; `exclusions` has the full reasons by such
    an index, where the question asks for them.
    """

    asked: AskedIds
    capped: Mapping[str, Indexes] = field(default_factory=dict)
    exclusions: Mapping[int, Exclusion] = field(default_factory=dict)
    fail_open_reason: str | None = None
    reservation: Reservation | None = None

    @property
    def breakdown(self) -> dict[str, int]:
        """How many users each rule caps."""
        return {rule: len(indexes) for rule, indexes in self.capped.items()}

    @property
    def eligible(self) -> list[str]:
        """The users who may get the push, in the spelling and order of the caller."""
        is_eligible = np.zeros(self.asked.count, dtype=bool)
        is_eligible[self.asked.users.positions] = True
        for indexes in self.capped.values():
            is_eligible[self.asked.users.positions[indexes]] = False
        return list(compress(self.asked.texts, is_eligible.tolist()))


def filter_audience(database: BulkDatabase, question: Question) -> FilteredAudience:
    """Judge every user of the question; if that fails, let every valid user through.

    The answer and the log say when the check failed open.
    Raises: PoolFullError, if this process has too much to do; a later attempt may succeed.
    """
    try:
        with database.transaction() as connection:
            in_force = read_rules(connection, question.layer_id)
        if in_force.fault:
            return fail_open(question, in_force.fault)
        capped = _judge_all(database, question, in_force.rules)
        exclusions = _explain_all(database, question, in_force.rules, capped)
    except PoolFullError:
        raise
    except (DatabaseAwayError, DatabaseFaultError) as error:
        return fail_open(question, str(error))
    return FilteredAudience(question.asked, capped, exclusions)


def read_rules(
    connection: BulkConnection, layer_id: int, version: int | None = None
) -> RulesInForce:
    """Return the rules that check a push on this layer; with `version`, those of an old set."""
    rule_set = select_rule_set(connection, version)
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
    """Return why users are capped, by their index in `users`; other users are left out.

    All later sends are read, because the end of a cap may depend on them.
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


def run_in_lanes(work: Callable[[_Given], _Found], given: Sequence[_Given]) -> list[_Found]:
    """Return the result of `work` for each of `given`; a few run at a time."""
    if len(given) < LANES:
        return [work(one) for one in given]
    with ThreadPoolExecutor(LANES) as lanes:
        # Each lane keeps the context of the request, such as the client that waits for the answer.
        done = [lanes.submit(copy_context().run, work, one) for one in given]
        try:
            return [future.result() for future in done]
        finally:
            lanes.shutdown(cancel_futures=True)


def merge_by_rule(
    rules: Sequence[CadenceRule], parts: Sequence[Mapping[str, Indexes]]
) -> dict[str, Indexes]:
    """Return the users capped in any of `parts`, by rule; each of `rules` has an entry."""
    names = dict.fromkeys([rule.name for rule in rules] + [name for part in parts for name in part])
    return {
        name: np.concatenate([part[name] for part in parts if name in part] or [_NOBODY])
        for name in names
    }


def fail_open(question: Question, reason: str) -> FilteredAudience:
    """Let every valid user through; the answer and the log say why."""
    log_failed_open(question, reason)
    return FilteredAudience(question.asked, fail_open_reason=reason)


def log_failed_open(question: Question, reason: str) -> None:
    """Log that every user was let through."""
    FAILED_OPEN.inc()
    users = len(question.asked.users)
    log.warning("cadence_failed_open", layer=question.layer_id, users=users, reason=reason)


def _judge_all(
    database: BulkDatabase, question: Question, rules: Sequence[CadenceRule]
) -> dict[str, Indexes]:
    """Return the users that each rule caps; a large audience is split into ranges."""
    users = question.asked.users
    ranges = 1 if len(users) < SPLIT_FROM else LANES
    edges = np.linspace(0, len(users), ranges + 1, dtype=np.int64).tolist()
    spans = [slice(a, b) for a, b in pairwise(edges)] if rules and len(users) else []
    return merge_by_rule(
        rules, run_in_lanes(partial(_judge_range, database, question, rules), spans)
    )


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
    capped: Mapping[str, Indexes],
) -> dict[int, Exclusion]:
    if not question.explain or not capped:
        return {}
    indexes = np.sort(np.concatenate(list(capped.values())))
    with database.transaction() as connection:
        found = explain(connection, question.asked.users[indexes], rules, question.at)
    return {int(indexes[place]): exclusion for place, exclusion in found.items()}
