"""Filter an audience: whom a push on a layer may go to at an instant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from cadence_service.adapters.notification_history import find_suspects, select_sends
from cadence_service.adapters.rule_table import select_layers, select_rule_set
from cadence_service.domain.cadence import (
    Breach,
    CadenceRule,
    Send,
    find_breach,
    find_next_eligible,
    find_rules,
)
from chassis.postgres import Connection, Database, DatabaseAwayError

log = structlog.get_logger()

_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked for, on which layer, at which instant, and whether reasons are wanted."""

    user_ids: Sequence[str]
    layer_id: int
    at: datetime
    explain: bool = False


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A user who is held back: by which rule, the sends that count, and when it is over."""

    user_id: str
    rule: str
    counted: tuple[datetime, ...]
    next_eligible_at: datetime | None


@dataclass(frozen=True, slots=True)
class FilteredAudience:
    """The answer: eligible ids in the caller's spelling and order, and the others by reason."""

    eligible: list[str]
    breakdown: dict[str, int] = field(default_factory=dict)
    invalid: int = 0
    held_back: list[HeldBack] = field(default_factory=list)
    fail_open_reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """The distinct users asked for: canonical id to the caller's spelling, in order."""

    valid: dict[str, str]
    invalid: int


def filter_audience(database: Database, question: Question) -> FilteredAudience:
    """Judge every user of the question; if that cannot be done, let everybody valid through.

    Failing open is told in the answer, and in the log.
    """
    asked = _read_ids(question.user_ids)
    try:
        with database.transaction() as connection:
            return _judge(connection, question, asked)
    except DatabaseAwayError as error:
        return _fail_open(asked, question, str(error))


def _read_ids(user_ids: Sequence[str]) -> _Asked:
    valid: dict[str, str] = {}
    invalid: set[str] = set()
    for text in user_ids:
        if _UUID.fullmatch(text):
            valid.setdefault(text.lower(), text)
        else:
            invalid.add(text)
    return _Asked(valid, len(invalid))


def _judge(connection: Connection, question: Question, asked: _Asked) -> FilteredAudience:
    layers = {layer.id: layer for layer in select_layers(connection)}
    if question.layer_id in layers and layers[question.layer_id].is_exempt:
        return FilteredAudience(list(asked.valid.values()), invalid=asked.invalid)
    rule_set = select_rule_set(connection)
    if rule_set is None:
        return _fail_open(asked, question, "there are no cadence rules at all")
    rules = find_rules(rule_set.rules, question.layer_id)
    if not rules:
        reason = f"no active cadence rule applies to layer {question.layer_id}"
        return _fail_open(asked, question, reason)
    return _apply(connection, question, asked, rules)


def _apply(
    connection: Connection, question: Question, asked: _Asked, rules: Sequence[CadenceRule]
) -> FilteredAudience:
    canonical = list(asked.valid)
    suspects = find_suspects(connection, canonical, rules, question.at)
    held_by = {canonical[i]: rules[number].name for i, number in suspects.blocked.items()}
    wanted = [canonical[i] for i in suspects.unclear]
    if question.explain:
        wanted += list(held_by)
    longest = max(rule.window for rule in rules)
    history = select_sends(connection, wanted, question.at, longest) if wanted else {}
    breaches = {
        user: find_breach(rules, history.get(UUID(user), []), question.at) for user in wanted
    }
    held_by |= {user: breach.rule.name for user, breach in breaches.items() if breach}
    breakdown = {rule.name: 0 for rule in rules}
    for name in held_by.values():
        breakdown[name] += 1
    explained = [
        _explain(asked.valid[user], breach, rules, history[UUID(user)], question.at)
        for user, breach in breaches.items()
        if breach and question.explain
    ]
    eligible = [text for user, text in asked.valid.items() if user not in held_by]
    return FilteredAudience(eligible, breakdown, asked.invalid, explained)


def _explain(
    user_id: str,
    breach: Breach,
    rules: Sequence[CadenceRule],
    sends: Sequence[Send],
    at: datetime,
) -> HeldBack:
    next_at = find_next_eligible(rules, sends, at)
    return HeldBack(user_id, breach.rule.name, breach.counted, next_at)


def _fail_open(asked: _Asked, question: Question, reason: str) -> FilteredAudience:
    log.warning(
        "cadence_failed_open", layer=question.layer_id, users=len(asked.valid), reason=reason
    )
    return FilteredAudience(
        list(asked.valid.values()), invalid=asked.invalid, fail_open_reason=reason
    )
