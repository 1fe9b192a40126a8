"""Record notifications that were sent; safe to repeat with the same keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cadence_service.adapters.notification_record import (
    MessageTexts,
    Notification,
    claim_keys,
    claim_users,
    insert_notifications,
    upsert_messages,
)
from cadence_service.adapters.reservation_table import Reservation, lock_reservation
from cadence_service.adapters.reserved_slots import ReservedSends, confirm_slots, select_settled
from cadence_service.adapters.rule_table import select_rule_set
from cadence_service.domain.user_ids import read_uuids
from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class SentNotification:
    """A notification as the caller reports it; its instants may be missing."""

    user_id: UUID
    layer_id: int
    texts: MessageTexts
    sent_at: datetime | None
    actually_sent_at: datetime | None
    idempotency_key: str | None

    def at(self, planned_at: datetime, now: datetime) -> Notification:
        """Return the notification with its own instants, or with these if it has none."""
        return Notification(
            user_id=self.user_id,
            layer_id=self.layer_id,
            texts=self.texts,
            sent_at=self.sent_at or planned_at,
            actually_sent_at=self.actually_sent_at or self.sent_at or now,
            idempotency_key=self.idempotency_key,
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many notifications are new, and how many had been recorded before."""

    recorded: int
    duplicates: int


def record_notifications(
    connection: BulkConnection,
    sent: Sequence[SentNotification],
    now: datetime,
    reservation_key: str | None = None,
) -> Recorded:
    """Record each notification, once for each key; all or none of them.

    Without a key every call counts. Under a reservation, a notification takes the slot of its user,
    and the instant of the slot unless it has its own; the other slots of the reservation stay
    reserved. If the settlement of the reservation has recorded the send to a user, the send counts
    once, even if it is reported again.
    """
    reservation = lock_reservation(connection, reservation_key) if reservation_key else None
    planned_at = reservation.scheduled_for if reservation else now
    notifications = [one.at(planned_at, now) for one in sent]
    message_ids = upsert_messages(connection, (n.texts for n in notifications))
    new = _find_new(notifications, claim_keys(connection, notifications))
    rule_set = select_rule_set(connection)
    if reservation:
        new = _without_settled(connection, new, reservation)
    unreserved = _take_slots(connection, new, message_ids, reservation) if reservation else new
    if unreserved:
        version = rule_set.version if rule_set else None
        insert_notifications(connection, unreserved, message_ids, version)
    return Recorded(len(new), len(notifications) - len(new))


def _find_new(
    notifications: Sequence[Notification], claimed: set[tuple[UUID, bytes]]
) -> list[Notification]:
    """Return the notifications without a key, and the first one of each newly claimed key."""
    new: list[Notification] = []
    for notification in notifications:
        key = notification.key
        if key is None:
            new.append(notification)
        elif (notification.user_id, key) in claimed:
            claimed.discard((notification.user_id, key))
            new.append(notification)
    return new


def _without_settled(
    connection: BulkConnection, notifications: list[Notification], reservation: Reservation
) -> list[Notification]:
    """Leave out users whose send a settlement has recorded; note the others for a later settlement.

    Two engines may report the same send: one by a settlement, the other under the keys of the
    notifications. The reservation's row is locked, so that the second report sees the first.
    """
    users = read_uuids(sorted({n.user_id for n in notifications}))
    settled = set(select_settled(connection, reservation, users))
    left = [n for n in notifications if n.user_id not in settled]
    reported = read_uuids(sorted({n.user_id for n in left}))
    claim_users(connection, reported, reservation.claim, reservation.scheduled_for)
    return left


def _take_slots(
    connection: BulkConnection,
    notifications: Sequence[Notification],
    message_ids: dict[bytes, int],
    reservation: Reservation,
) -> Sequence[Notification]:
    """Turn the reserved slots of these users into sends; return notifications without a slot."""
    if not notifications:
        return notifications
    first = {n.user_id: n for n in reversed(notifications)}
    ordered = sorted(first.values(), key=lambda n: n.user_id)
    sends = ReservedSends(
        users=read_uuids(n.user_id for n in ordered),
        message_ids=[message_ids[n.texts.digest] for n in ordered],
        layer_ids=[n.layer_id for n in ordered],
        instants=[n.sent_at for n in ordered],
        actual_instants=[n.actually_sent_at for n in ordered],
    )
    confirmed = set(confirm_slots(connection, reservation, sends))
    return [n for n in notifications if n.user_id not in confirmed or n is not first[n.user_id]]
