"""Filter an audience and take the eligible users' slots, so that no other send can have them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Final

from cadence_service.adapters.reservation_table import (
    Exclusion,
    NewReservation,
    Reservation,
    ReservationState,
    insert_decision,
    is_decided,
    lock_users,
    open_reservation,
    select_exclusions,
    sweep_expired,
)
from cadence_service.use_cases.filter_audience import (
    AskedIds,
    FilteredAudience,
    Question,
    RulesInForce,
    answer,
    explain,
    fail_open,
    find_held_back,
    read_ids,
    read_rules,
    say,
    warn_open,
)
from chassis.postgres import Connection, Database, DatabaseAwayError, DatabaseFaultError

#: Users are judged under one of so many locks each, by the first byte of their id.
BUCKETS: Final = 256
#: About how many users are decided in one transaction.
PART_SIZE: Final = 4_000


class ReservationConflictError(Exception):
    """The key belongs to another question, or to a reservation that has been settled."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Under which key to reserve, and for how long."""

    key: str
    ttl: timedelta


@dataclass(frozen=True, slots=True)
class _Part:
    """Users who are decided together: those of a run of buckets."""

    number: int
    buckets: list[int]
    user_ids: list[str]


def reserve_audience(database: Database, question: Question, wish: Wish) -> FilteredAudience:
    """Judge every user of the question, and hold a slot of each eligible one under the key.

    The same question under the same key gives the same verdict, and takes nothing more.
    Raises: ReservationConflictError.
    """
    asked = read_ids(question.user_ids)
    try:
        with database.transaction() as connection:
            sweep_expired(connection)
            in_force = read_rules(connection, question.layer_id)
            reservation = _open(connection, question, wish, in_force, asked)
        if reservation is None:
            return fail_open(asked, question, in_force.fault or "there are no cadence rules at all")
        exclusions: list[Exclusion] = []
        for part in _split(asked):
            with database.transaction() as connection:
                exclusions += _decide(connection, reservation, part, in_force)
    except (DatabaseAwayError, DatabaseFaultError) as error:
        return fail_open(asked, question, say(error))
    return _answer(asked, question, in_force, reservation, exclusions)


def _open(
    connection: Connection,
    question: Question,
    wish: Wish,
    in_force: RulesInForce,
    asked: AskedIds,
) -> Reservation | None:
    if in_force.version is None:
        return None
    new = NewReservation(
        key=wish.key,
        layer_id=question.layer_id,
        scheduled_for=question.at,
        rule_set=in_force.version,
        ttl=wish.ttl,
        body_digest=_digest(question, asked),
    )
    reservation = open_reservation(connection, new)
    if reservation.body_digest != new.body_digest:
        raise ReservationConflictError(
            f"reservation.key: {wish.key!r} was used before, for another audience, layer or "
            "instant. Send a new key for a new question."
        )
    if reservation.state in {ReservationState.CONFIRMED, ReservationState.RELEASED}:
        raise ReservationConflictError(
            f"reservation.key: {wish.key!r} is {reservation.state} already. Send a new key."
        )
    return reservation


def _digest(question: Question, asked: AskedIds) -> bytes:
    digest = hashlib.sha256(f"{question.layer_id}|{question.at.isoformat()}".encode())
    digest.update(",".join(sorted(asked.valid)).encode())
    return digest.digest()


def _split(asked: AskedIds) -> Iterator[_Part]:
    """Yield the users in runs of whole buckets; the same users fall into the same parts."""
    by_bucket = {
        bucket: list(users)
        for bucket, users in groupby(sorted(asked.valid), key=lambda user: int(user[:2], 16))
    }
    buckets: list[int] = []
    users: list[str] = []
    for bucket, its_users in by_bucket.items():
        buckets.append(bucket)
        users += its_users
        if len(users) >= PART_SIZE:
            yield _Part(buckets[0], buckets, users)
            buckets, users = [], []
    if users:
        yield _Part(buckets[0], buckets, users)


def _decide(
    connection: Connection, reservation: Reservation, part: _Part, in_force: RulesInForce
) -> Sequence[Exclusion]:
    lock_users(connection, part.buckets)
    if is_decided(connection, reservation.id, part.number):
        return select_exclusions(connection, reservation.id, part.number)
    at, rules = reservation.scheduled_for, in_force.rules
    suspects = list(find_held_back(connection, part.user_ids, rules, at))
    # What is explained is what is decided: a slot given back in between is free to take.
    exclusions = explain(connection, suspects, rules, at)
    eligible = [user for user in part.user_ids if user not in exclusions]
    insert_decision(connection, reservation, part.number, eligible, exclusions.values())
    return list(exclusions.values())


def _answer(
    asked: AskedIds,
    question: Question,
    in_force: RulesInForce,
    reservation: Reservation,
    exclusions: Sequence[Exclusion],
) -> FilteredAudience:
    if in_force.fault:
        warn_open(asked, question, in_force.fault)
    by_user = {str(exclusion.user_id): exclusion for exclusion in exclusions}
    held_by = {user: exclusion.rule for user, exclusion in by_user.items()}
    filtered = answer(asked, in_force.rules, held_by, by_user if question.explain else {})
    return replace(filtered, reservation=reservation, fail_open_reason=in_force.fault)
