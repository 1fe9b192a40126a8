"""Settle a reservation: confirm who was sent to, give back the other slots, or hold them longer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cadence_service.adapters.notification_record import (
    MessageTexts,
    Notification,
    insert_notifications,
    upsert_messages,
)
from cadence_service.adapters.reservation_table import (
    Reservation,
    ReservationState,
    confirm_reserved,
    end_reservation,
    extend_reservation,
    forget_reserved,
    select_confirmed,
    select_reservation,
    select_reserved,
)
from chassis.postgres import Connection


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
    """Who was sent to: exactly these, or everybody reserved but these; with which texts, when."""

    texts: MessageTexts
    actually_sent_at: datetime
    sent: Collection[UUID] | None = None
    failed: Collection[UUID] = ()


def find_reservation(connection: Connection, key: str) -> Reservation:
    """Return the reservation of this key; ReservationNotFoundError."""
    reservation = select_reservation(connection, key)
    if reservation is None:
        raise ReservationNotFoundError(f"There is no reservation {key!r}.")
    return reservation


def settle_reservation(connection: Connection, key: str, settlement: Settlement) -> Settled:
    """Confirm the slots of who was sent to, and release the rest; safe to repeat.

    Who was sent to is recorded even if the reservation had run out: it happened.
    """
    reservation = find_reservation(connection, key)
    wanted = settlement.sent
    if wanted is None:
        failed = set(settlement.failed)
        wanted = [u for u in select_reserved(connection, reservation.id) if u not in failed]
    late = _confirm(connection, reservation, settlement, sorted(set(wanted)))
    released = forget_reserved(connection, reservation.id)
    state = ReservationState.CONFIRMED if wanted else ReservationState.RELEASED
    end_reservation(connection, reservation.id, state)
    return Settled(len(set(wanted)), released, late)


def release_reservation(connection: Connection, key: str) -> int:
    """Give back every slot that is still held; return how many. Safe to repeat."""
    reservation = find_reservation(connection, key)
    released = forget_reserved(connection, reservation.id)
    end_reservation(connection, reservation.id, ReservationState.RELEASED)
    return released


def hold_longer(connection: Connection, key: str, ttl: timedelta) -> Reservation:
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
    connection: Connection,
    reservation: Reservation,
    settlement: Settlement,
    users: Sequence[UUID],
) -> int:
    """Record that `users` were sent to; return how many of them had lost their slot."""
    if not users:
        return 0
    message_ids = upsert_messages(connection, [settlement.texts])
    message_id, at = message_ids[settlement.texts.digest], settlement.actually_sent_at
    held = confirm_reserved(connection, reservation, [(user, message_id, at) for user in users])
    known = held | select_confirmed(connection, reservation, users)
    lost = [_late(reservation, settlement, user) for user in users if user not in known]
    insert_notifications(connection, lost, message_ids, reservation.rule_set, reservation.id)
    return len(lost)


def _late(reservation: Reservation, settlement: Settlement, user_id: UUID) -> Notification:
    return Notification(
        user_id=user_id,
        layer_id=reservation.layer_id,
        texts=settlement.texts,
        sent_at=reservation.scheduled_for,
        actually_sent_at=settlement.actually_sent_at,
        idempotency_key=None,
    )
