"""Filter an audience: whom a push on a layer may go to at an instant."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from cadence_service.adapters.notification_history import find_suspects, select_sends
from cadence_service.adapters.reservation_table import Exclusion, Reservation
from cadence_service.adapters.rule_table import select_layers, select_rule_set
from cadence_service.domain.cadence import (
    CadenceRule,
    find_breach,
    find_next_eligible,
    find_rules,
)
from chassis.postgres import Connection, Database, DatabaseAwayError, DatabaseFaultError

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
class AskedIds:
    """The distinct users asked for: canonical id to the caller's spelling, in order."""

    valid: dict[str, str]
    invalid: int


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
    """The answer: eligible ids in the caller's spelling and order, and the others by reason.

    Shape: `exclusions` maps the caller's spelling to the reason; only where reasons were wanted.
    """

    eligible: list[str]
    breakdown: dict[str, int] = field(default_factory=dict)
    invalid: int = 0
    exclusions: dict[str, Exclusion] = field(default_factory=dict)
    fail_open_reason: str | None = None
    reservation: Reservation | None = None


def filter_audience(database: Database, question: Question) -> FilteredAudience:
    """Judge every user of the question; if that cannot be done, let everybody valid through.

    Failing open is told in the answer, and in the log.
    """
    asked = read_ids(question.user_ids)
    try:
        with database.transaction() as connection:
            in_force = read_rules(connection, question.layer_id)
            if in_force.fault:
                return fail_open(asked, question, in_force.fault)
            held_by = find_held_back(connection, sorted(asked.valid), in_force.rules, question.at)
            wanted = list(held_by) if question.explain else []
            exclusions = explain(connection, wanted, in_force.rules, question.at)
    except (DatabaseAwayError, DatabaseFaultError) as error:
        return fail_open(asked, question, say(error))
    return answer(asked, in_force.rules, held_by, exclusions)


def read_ids(user_ids: Sequence[str]) -> AskedIds:
    """Return the distinct ids; what is no UUID is counted only."""
    canonical = _read_at_once(user_ids)
    if canonical is not None and len(set(canonical)) == len(canonical):
        return AskedIds(dict(zip(canonical, user_ids, strict=True)), 0)
    valid: dict[str, str] = {}
    invalid: set[str] = set()
    for text in user_ids:
        if _UUID.fullmatch(text):
            valid.setdefault(text.lower(), text)
        else:
            invalid.add(text)
    return AskedIds(valid, len(invalid))


def _read_at_once(user_ids: Sequence[str]) -> list[str] | None:
    """Return the canonical texts if every id is a UUID; looks at all of them as one text."""
    count = len(user_ids)
    joined = "".join(user_ids).lower()
    is_even = len(joined) == 36 * count and joined.isascii() and {*map(len, user_ids)} == {36}
    if not is_even or any(joined[dash::36] != "-" * count for dash in (8, 13, 18, 23)):
        return None
    try:
        # A dash out of its place makes the digits too few.
        digits = bytes.fromhex(joined.replace("-", ""))
    except ValueError:
        return None
    if len(digits) != 16 * count or any(character.isspace() for character in set(joined)):
        return None
    return [joined[start : start + 36] for start in range(0, len(joined), 36)]


def read_rules(connection: Connection, layer_id: int) -> RulesInForce:
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


def find_held_back(
    connection: Connection, user_ids: Sequence[str], rules: Sequence[CadenceRule], at: datetime
) -> dict[str, str]:
    """Return, for each of `user_ids` who is held back, the name of the first rule that does it.

    Shape: canonical UUID texts, each once.
    """
    if not rules or not user_ids:
        return {}
    suspects = find_suspects(connection, user_ids, rules, at)
    held_by = {user_ids[i]: rules[number].name for i, number in suspects.blocked.items()}
    unclear = explain(connection, [user_ids[i] for i in suspects.unclear], rules, at)
    return held_by | {user: exclusion.rule for user, exclusion in unclear.items()}


def explain(
    connection: Connection, user_ids: Sequence[str], rules: Sequence[CadenceRule], at: datetime
) -> dict[str, Exclusion]:
    """Return why each of `user_ids` who is held back is; those who are not are left out."""
    if not user_ids:
        return {}
    longest = max(rule.window for rule in rules)
    history = select_sends(connection, user_ids, at, longest)
    exclusions: dict[str, Exclusion] = {}
    for user in user_ids:
        sends = history.get(UUID(user), [])
        breach = find_breach(rules, sends, at)
        if breach:
            next_at = find_next_eligible(rules, sends, at)
            exclusions[user] = Exclusion(UUID(user), breach.rule.name, breach.counted, next_at)
    return exclusions


def answer(
    asked: AskedIds,
    rules: Iterable[CadenceRule],
    held_by: Mapping[str, str],
    exclusions: Mapping[str, Exclusion],
) -> FilteredAudience:
    """Return the answer in the caller's own spelling and order."""
    breakdown = {rule.name: 0 for rule in rules}
    for name in held_by.values():
        breakdown[name] = breakdown.get(name, 0) + 1
    return FilteredAudience(
        eligible=[text for user, text in asked.valid.items() if user not in held_by],
        breakdown=breakdown,
        invalid=asked.invalid,
        exclusions={asked.valid[user]: exclusion for user, exclusion in exclusions.items()},
    )


def fail_open(asked: AskedIds, question: Question, reason: str) -> FilteredAudience:
    """Return everybody valid, and say why in the answer and in the log."""
    warn_open(asked, question, reason)
    return FilteredAudience(
        list(asked.valid.values()), invalid=asked.invalid, fail_open_reason=reason
    )


def warn_open(asked: AskedIds, question: Question, reason: str) -> None:
    """Log that everybody was let through."""
    log.warning(
        "cadence_failed_open", layer=question.layer_id, users=len(asked.valid), reason=reason
    )


def say(error: Exception) -> str:
    """Return the first line of what a database said."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
