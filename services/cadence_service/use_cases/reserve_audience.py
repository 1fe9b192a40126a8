"""Filter an audience, and reserve a slot of each eligible user for one send."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import numpy as np
import structlog

from cadence_service.adapters.cap_check import CapQuestion, find_suspects
from cadence_service.adapters.exclusion_table import (
    insert_found,
    insert_judged,
    select_excluded,
    select_exclusions,
)
from cadence_service.adapters.partitions import find_end
from cadence_service.adapters.reservation_table import (
    NewReservation,
    Reservation,
    ReservationState,
    end_reservation,
    find_end_of_reserved,
    forget_decisions,
    holds_slots,
    insert_part,
    is_decided,
    lock_reservation,
    open_reservation,
    select_reservation,
)
from cadence_service.adapters.reserved_slots import lock_users, reserve_slots, try_lock_users
from cadence_service.domain.user_ids import UserIds, read_uuids, without
from cadence_service.use_cases.filter_audience import (
    FilteredAudience,
    Indexes,
    Question,
    RulesInForce,
    explain,
    fail_open,
    log_failed_open,
    merge_by_rule,
    read_rules,
    run_in_lanes,
)
from chassis.postgres import (
    BulkConnection,
    BulkDatabase,
    DatabaseAwayError,
    DatabaseFaultError,
    PoolFullError,
)

log = structlog.get_logger()

#: About how many users are decided in one transaction.
PART_SIZE: Final = 4_000
#: The first byte of an id names the bucket of the user, one of 256; each bucket has a lock.
_BUCKET_EDGES: Final = np.arange(257)


class ReservationEndedError(Exception):
    """The reservation does not have slots any more."""


class ReservationConflictError(Exception):
    """The key belongs to another question, or to a reservation that has been settled."""


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """The key under which to reserve slots, and how long they stay reserved.

    Shape: `scheduled_for` is the instant that the caller gave; None means the present instant.
    """

    key: str
    ttl: timedelta
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """Users who are decided together: a run of buckets, and their span among all users."""

    buckets: Sequence[int]
    span: slice

    @property
    def number(self) -> int:
        """The name of this part; the same users are always in the same part."""
        return self.buckets[0]


@dataclass(frozen=True, slots=True)
class _Case:
    """A question, its reservation, and the rules that decide it.

    Shape: there is no notification and no reserved slot after `end_of_history`.
    """

    question: Question
    reservation: Reservation
    in_force: RulesInForce
    end_of_history: datetime


def reserve_audience(
    database: BulkDatabase, question: Question, wanted: ReservationRequest
) -> FilteredAudience:
    """Judge every user of the question, and reserve a slot of each eligible user under the key.

    The same question under the same key gets the same answer, and reserves no further slots. If the
    check fails open, the reservation is released.
    Raises: PoolFullError, after which the same question continues where this one stopped;
    ReservationConflictError; ReservationEndedError if the reservation was released or ran
    out while it was decided.
    """
    try:
        return _reserve(database, question, wanted)
    except PoolFullError:
        raise
    except (DatabaseAwayError, DatabaseFaultError) as error:
        _give_back(database, wanted.key)
        return fail_open(question, str(error))


def _reserve(
    database: BulkDatabase, question: Question, wanted: ReservationRequest
) -> FilteredAudience:
    with database.transaction() as connection:
        reservation, in_force = _open(connection, question, wanted)
        end_of_history = max(find_end(connection), find_end_of_reserved(connection))
    if reservation is None:
        return fail_open(question, in_force.fault or "there are no cadence rules at all")
    case = _Case(question, reservation, in_force, end_of_history)
    parts = _split(question.asked.users)
    # Reservations that come at the same time begin with different parts, and wait less for each
    # other.
    first = reservation.id % max(len(parts), 1)
    decided = _decide_all(database, case, parts[first:] + parts[:first])
    if in_force.fault:
        log_failed_open(question, in_force.fault)
    return _answer(database, case, decided)


def _give_back(database: BulkDatabase, key: str) -> None:
    """Release the slots of a reservation whose check failed open, so that they do not count.

    If the database is away, the slots count until the reservation runs out.
    """
    try:
        with database.transaction() as connection:
            reservation = lock_reservation(connection, key)
            if reservation and reservation.state is ReservationState.RESERVED:
                forget_decisions(connection, reservation.id)
                end_reservation(connection, reservation.id, ReservationState.EXPIRED)
    except (DatabaseAwayError, DatabaseFaultError) as error:
        log.warning("reservation_not_given_back", key=key, reason=str(error))


def _open(
    connection: BulkConnection, question: Question, wanted: ReservationRequest
) -> tuple[Reservation | None, RulesInForce]:
    """Return the reservation, if there are any rules, and the rules by which it is judged."""
    in_force = read_rules(connection, question.layer_id)
    if in_force.version is None:
        return None, in_force
    new = NewReservation(
        key=wanted.key,
        layer_id=question.layer_id,
        scheduled_for=question.at,
        rule_set=in_force.version,
        ttl=wanted.ttl,
        body_digest=_digest(question, wanted.scheduled_for),
    )
    reservation = open_reservation(connection, new)
    if reservation.body_digest != new.body_digest:
        raise ReservationConflictError(
            f"reservation.key: {wanted.key!r} was used before, for another audience, layer or "
            "instant. Send a new key for a new question."
        )
    if reservation.state in {ReservationState.CONFIRMED, ReservationState.RELEASED}:
        raise ReservationConflictError(
            f"reservation.key: {wanted.key!r} is {reservation.state} already. Send a new key."
        )
    if reservation.rule_set != in_force.version:
        in_force = read_rules(connection, question.layer_id, reservation.rule_set)
    return reservation, in_force


def _digest(question: Question, scheduled_for: datetime | None) -> bytes:
    """Return a digest that distinguishes this question from others, as the caller asked it."""
    instant = scheduled_for.astimezone(UTC).isoformat() if scheduled_for else "now"
    digest = hashlib.sha256(f"{question.layer_id}|{instant}|".encode())
    digest.update(question.asked.users.keys.tobytes())
    return digest.digest()


def _split(users: UserIds) -> list[_Part]:
    """Return the users in runs of whole buckets of about PART_SIZE."""
    edges = np.searchsorted(users.keys[:, 0], _BUCKET_EDGES)
    parts: list[_Part] = []
    buckets: list[int] = []
    begun = 0
    for bucket in np.flatnonzero(np.diff(edges)).tolist():
        buckets.append(bucket)
        end = int(edges[bucket + 1])
        if end - begun >= PART_SIZE:
            parts.append(_Part(buckets, slice(begun, end)))
            buckets, begun = [], end
    return [*parts, _Part(buckets, slice(begun, len(users)))] if buckets else parts


def _decide_all(
    database: BulkDatabase, case: _Case, parts: Sequence[_Part]
) -> list[dict[str, Indexes]]:
    """Decide every part; the parts that another reservation decides at present come last.

    So no connection waits for a lock while another part can be decided.
    """
    tried = run_in_lanes(partial(_decide, database, case, try_lock_users), parts)
    busy = [part for part, found in zip(parts, tried, strict=True) if found is None]
    waited = run_in_lanes(partial(_decide, database, case, lock_users), busy)
    return [found for found in (*tried, *waited) if found is not None]


def _decide(
    database: BulkDatabase,
    case: _Case,
    lock: Callable[[BulkConnection, Sequence[int]], bool],
    part: _Part,
) -> dict[str, Indexes] | None:
    """Return the users of a part that each rule caps, as decided now or before.

    None means that `lock` did not get the locks.
    """
    users, reservation_id = case.question.asked.users[part.span], case.reservation.id
    with database.transaction() as connection:
        if not lock(connection, part.buckets):
            return None
        if not holds_slots(connection, reservation_id):
            raise _ended(connection, case.reservation.key)
        is_new = not is_decided(connection, reservation_id, part.number)
        if is_new and case.in_force.rules:
            _judge(connection, case, part.number, users)
        excluded = select_excluded(connection, reservation_id, part.number)
        capped = {rule: users.find(found) for rule, found in excluded.items()}
        if is_new:
            eligible = _find_eligible(users, capped)
            reserve_slots(connection, reservation_id, eligible)
            insert_part(connection, reservation_id, part.number, len(eligible))
    return {rule: indexes + part.span.start for rule, indexes in capped.items()}


def _ended(connection: BulkConnection, key: str) -> ReservationEndedError:
    reservation = select_reservation(connection, key)
    state = reservation.state if reservation else "gone"
    return ReservationEndedError(
        f"The reservation {key!r} is {state}: it ended while it was decided. "
        "Ask again, with a longer ttlSeconds if it ran out."
    )


def _find_eligible(users: UserIds, capped: Mapping[str, Indexes]) -> UserIds:
    is_eligible = np.ones(len(users), dtype=bool)
    for indexes in capped.values():
        is_eligible[indexes] = False
    return users[is_eligible]


def _judge(connection: BulkConnection, case: _Case, part: int, users: UserIds) -> None:
    """Record which users are capped, and why; the written rows are the decision.

    A slot that becomes free between the check and the writing may be reserved.
    """
    rules, at = case.in_force.rules, case.reservation.scheduled_for
    asked = CapQuestion(users, rules, at, own_reservation=case.reservation.id)
    suspects = find_suspects(connection, asked)
    blocked = users[np.sort(np.concatenate(suspects.blocked))]
    to_the_end = replace(asked, users=blocked, until=max(asked.end, case.end_of_history))
    found = insert_found(connection, case.reservation.id, part, to_the_end)
    for unclear in (users[suspects.unclear], without(blocked, found)):
        judged = explain(connection, unclear, rules, at)
        insert_judged(connection, case.reservation.id, part, list(judged.values()))


def _answer(
    database: BulkDatabase, case: _Case, decided: Sequence[Mapping[str, Indexes]]
) -> FilteredAudience:
    asked = case.question.asked
    with database.transaction() as connection:
        if not holds_slots(connection, case.reservation.id):
            raise _ended(connection, case.reservation.key)
        found = select_exclusions(connection, case.reservation.id) if case.question.explain else []
    places = asked.users.find(read_uuids(e.user_id for e in found))
    exclusions = dict(zip(places.tolist(), found, strict=True))
    capped = merge_by_rule(case.in_force.rules, decided)
    return FilteredAudience(asked, capped, exclusions, case.in_force.fault, case.reservation)
