"""Settle a reservation: confirm the sends, release the other slots, or keep the slots longer."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cadence_service.adapters.notification_record import MessageTexts, upsert_messages
from cadence_service.adapters.reservation_table import (
    Reservation,
    ReservationState,
    end_reservation,
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
from chassis.postgres import BulkConnection


class ReservationNotFoundError(Exception):
    """There is no reservation of that key."""


class ReservationEndedError(Exception):
    """The reservation holds no slots any more."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The effect of a settlement, as counts of users.

    Shape: `late` of the confirmed users had lost their slot, because the reservation had run out.
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


def find_reservation(connection: BulkConnection, key: str) -> Reservation:
    """Return the reservation of this key; ReservationNotFoundError."""
    reservation = select_reservation(connection, key)
    if reservation is None:
        raise ReservationNotFoundError(f"There is no reservation {key!r}.")
    return reservation


def settle_reservation(connection: BulkConnection, key: str, settlement: Settlement) -> Settled:
    """Confirm the slots of users who were sent to, and release the rest; safe to repeat.

    Sends are recorded even if the reservation had run out, because they happened.
    """
    reservation = find_reservation(connection, key)
    sent = settlement.sent
    if sent is None:
        sent = without(select_reserved(connection, reservation.id), settlement.failed)
    late = _confirm(connection, reservation, settlement, sent)
    released = release_slots(connection, reservation.id)
    state = ReservationState.CONFIRMED if len(sent) else ReservationState.RELEASED
    end_reservation(connection, reservation.id, state)
    return Settled(len(sent), released, late)


def release_reservation(connection: BulkConnection, key: str) -> int:
    """Release every slot that is still reserved; return how many. Safe to repeat."""
    reservation = find_reservation(connection, key)
    released = release_slots(connection, reservation.id)
    end_reservation(connection, reservation.id, ReservationState.RELEASED)
    return released


def extend_reservation(connection: BulkConnection, key: str, ttl: timedelta) -> Reservation:
    """Keep the slots for `ttl` from now; ReservationNotFoundError, ReservationEndedError."""
    extended = update_expiry(connection, key, ttl)
    if extended is None:
        reservation = find_reservation(connection, key)
        raise ReservationEndedError(
            f"The reservation {key!r} is {reservation.state}; it holds nothing any more. "
            "Ask /filter-audience again."
        )
    return extended


def _confirm(
    connection: BulkConnection, reservation: Reservation, settlement: Settlement, sent: UserIds
) -> int:
    """Record the sends to users; return how many of the users had lost their slot."""
    if not len(sent):
        return 0
    message_id = upsert_messages(connection, [settlement.texts])[settlement.texts.digest]
    sends = ReservedSends(sent, [message_id], [settlement.actually_sent_at])
    rest = without(sent, confirm_slots(connection, reservation, sends))
    if not len(rest):
        return 0
    return len(record_late(connection, reservation, replace(sends, users=rest)))
