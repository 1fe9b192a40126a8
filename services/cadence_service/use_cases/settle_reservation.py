"""Settle a reservation: confirm who was sent to, give back the other slots, or hold them longer."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cadence_service.adapters.held_slots import (
    Told,
    confirm_slots,
    give_back,
    record_late,
    select_held,
)
from cadence_service.adapters.notification_record import MessageTexts, upsert_messages
from cadence_service.adapters.reservation_table import (
    Reservation,
    ReservationState,
    end_reservation,
    extend_reservation,
    select_reservation,
)
from cadence_service.domain.user_ids import UserIds, without
from chassis.postgres import BulkConnection


class ReservationNotFoundError(Exception):
    """There is no reservation of that key."""


class ReservationEndedError(Exception):
    """The reservation holds nothing any more."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settlement did; counts of users.

    Shape: `late` of the confirmed had lost their slot, because the reservation had run out.
    """

    confirmed: int
    released: int
    late: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """With which texts, when, and who: `sent` to exactly these, or everybody held but `failed`."""

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
    """Confirm the slots of who was sent to, and release the rest; safe to repeat.

    Who was sent to is recorded even if the reservation had run out: it happened.
    """
    reservation = find_reservation(connection, key)
    sent = settlement.sent
    if sent is None:
        sent = without(select_held(connection, reservation.id), settlement.failed)
    late = _confirm(connection, reservation, settlement, sent)
    released = give_back(connection, reservation.id)
    state = ReservationState.CONFIRMED if len(sent) else ReservationState.RELEASED
    end_reservation(connection, reservation.id, state)
    return Settled(len(sent), released, late)


def release_reservation(connection: BulkConnection, key: str) -> int:
    """Give back every slot that is still held; return how many. Safe to repeat."""
    reservation = find_reservation(connection, key)
    released = give_back(connection, reservation.id)
    end_reservation(connection, reservation.id, ReservationState.RELEASED)
    return released


def hold_longer(connection: BulkConnection, key: str, ttl: timedelta) -> Reservation:
    """Hold the slots for `ttl` from now; ReservationNotFoundError, ReservationEndedError."""
    extended = extend_reservation(connection, key, ttl)
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
    """Record that users were sent to; return how many of them had lost their slot."""
    if not len(sent):
        return 0
    texts = settlement.texts
    told = [upsert_messages(connection, [texts])[texts.digest]], [settlement.actually_sent_at]
    held = confirm_slots(connection, reservation, Told(sent, *told))
    rest = without(sent, held)
    return len(record_late(connection, reservation, Told(rest, *told))) if len(rest) else 0
