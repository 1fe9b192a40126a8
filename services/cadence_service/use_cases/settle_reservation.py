"""Settle a reservation: confirm the sends, release the other slots, or keep the slots longer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cadence_service.adapters.notification_record import MessageTexts, claim_users, upsert_messages
from cadence_service.adapters.reservation_table import (
    Reservation,
    ReservationState,
    count_eligible,
    end_reservation,
    lock_reservation,
    select_reservation,
    update_expiry,
)
from cadence_service.adapters.reserved_slots import (
    ReservedSends,
    confirm_slots,
    record_late,
    release_slots,
    select_reserved,
)
from cadence_service.domain.user_ids import UserIds, without
from cadence_service.use_cases.reserve_audience import ReservationEndedError
from chassis.postgres import BulkConnection


class ReservationNotFoundError(Exception):
    """There is no reservation of that key."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The effect of a settlement, as counts of users.

    Shape: `late` counts the confirmed users who had no slot that still counted, because the
    reservation had run out.
    """

    confirmed: int
    released: int
    late: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """The texts, the instant, and the users: exactly `sent`, or all reserved users but `failed`."""

    texts: MessageTexts
    actually_sent_at: datetime
    sent: UserIds | None
    failed: UserIds | None


def find_reservation(
    connection: BulkConnection,
    key: str,
    select: Callable[[BulkConnection, str], Reservation | None] = select_reservation,
) -> Reservation:
    """Return the reservation of this key, as `select` reads it; ReservationNotFoundError."""
    reservation = select(connection, key)
    if reservation is None:
        raise ReservationNotFoundError(f"There is no reservation {key!r}.")
    return reservation


def settle_reservation(connection: BulkConnection, key: str, settlement: Settlement) -> Settled:
    """Confirm the slots of users who got the message, and release the rest; safe to repeat.

    Sends are recorded even if the reservation had run out, because they happened.
    Raises: ReservationNotFoundError; ReservationEndedError if nobody knows who was eligible.
    """
    reservation = find_reservation(connection, key, lock_reservation)
    sent = settlement.sent
    if sent is None:
        sent = without(_find_all_sent(connection, reservation, settlement), settlement.failed)
    late = _confirm(connection, reservation, settlement, sent)
    released = release_slots(connection, reservation.id)
    state = ReservationState.CONFIRMED if len(sent) else ReservationState.RELEASED
    end_reservation(connection, reservation.id, state)
    return Settled(len(sent), released, late)


def release_reservation(connection: BulkConnection, key: str) -> int:
    """Release every slot that is still reserved; return how many. Safe to repeat."""
    reservation = find_reservation(connection, key, lock_reservation)
    released = release_slots(connection, reservation.id)
    end_reservation(connection, reservation.id, ReservationState.RELEASED)
    return released


def _find_all_sent(
    connection: BulkConnection, reservation: Reservation, settlement: Settlement
) -> UserIds:
    """Return the users who got the message, for a settlement that names only the failed users.

    The slots say who was eligible. Without slots the settlement may be a repetition; if it is not,
    it is refused, because it would silently lose the sends.
    """
    eligible = count_eligible(connection, reservation.id)
    failed = len(settlement.failed) if settlement.failed is not None else 0
    is_known = {
        ReservationState.RESERVED: True,
        ReservationState.CONFIRMED: True,
        ReservationState.EXPIRED: eligible is not None,
        ReservationState.RELEASED: eligible is not None and eligible <= failed,
    }
    if is_known[reservation.state]:
        return select_reserved(connection, reservation.id)
    raise ReservationEndedError(
        f"failedUserIds: the reservation {reservation.key!r} is {reservation.state}, and its slots "
        "are gone, so nobody knows who else was sent to. Send sentUserIds instead."
    )


def extend_reservation(connection: BulkConnection, key: str, ttl: timedelta) -> Reservation:
    """Keep the slots for `ttl` from now; ReservationNotFoundError, ReservationEndedError."""
    extended = update_expiry(connection, key, ttl)
    if extended is None:
        reservation = find_reservation(connection, key)
        raise ReservationEndedError(
            f"The reservation {key!r} is {reservation.state}; it has no slots any more. "
            "Ask /filter-audience again."
        )
    return extended


def _confirm(
    connection: BulkConnection, reservation: Reservation, settlement: Settlement, sent: UserIds
) -> int:
    """Record the sends to users; return how many were recorded without a slot that counts."""
    if not len(sent):
        return 0
    message_id = upsert_messages(connection, [settlement.texts])[settlement.texts.digest]
    sends = ReservedSends(
        users=sent,
        message_ids=[message_id],
        layer_ids=[reservation.layer_id],
        instants=[reservation.scheduled_for],
        actual_instants=[settlement.actually_sent_at],
    )
    confirmed = confirm_slots(connection, reservation, sends)
    rest = without(sent, confirmed)
    unclaimed = claim_users(connection, rest, reservation.claim, reservation.scheduled_for)
    late = len(record_late(connection, reservation, replace(sends, users=unclaimed)))
    return late + (len(confirmed) if reservation.state is ReservationState.EXPIRED else 0)
