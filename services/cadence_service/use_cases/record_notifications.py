"""Record notifications that were sent; safe to repeat with the same keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from cadence_service.adapters.notification_record import (
    Notification,
    claim_keys,
    insert_notifications,
    upsert_messages,
)
from cadence_service.adapters.reservation_table import select_reservation
from cadence_service.adapters.reserved_slots import ReservedSends, confirm_slots
from cadence_service.adapters.rule_table import select_rule_set
from cadence_service.domain.user_ids import read_uuids
from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many notifications are new, and how many had been recorded before."""

    recorded: int
    duplicates: int


def record_notifications(
    connection: BulkConnection,
    notifications: Sequence[Notification],
    reservation_key: str | None = None,
) -> Recorded:
    """Record each of `notifications`, once for each key; all or none of them.

    Without a key every call counts. Under a reservation a notification takes the slot of its user;
    the other slots of the reservation stay reserved.
    """
    message_ids = upsert_messages(connection, (n.texts for n in notifications))
    fresh = claim_keys(connection, notifications)
    new: list[Notification] = []
    for notification in notifications:
        key = notification.key
        if key is None:
            new.append(notification)
        elif (notification.user_id, key) in fresh:
            fresh.discard((notification.user_id, key))
            new.append(notification)
    rule_set = select_rule_set(connection)
    unreserved = _take_slots(connection, new, message_ids, reservation_key)
    if unreserved:
        version = rule_set.version if rule_set else None
        insert_notifications(connection, unreserved, message_ids, version)
    return Recorded(len(new), len(notifications) - len(new))


def _take_slots(
    connection: BulkConnection,
    notifications: Sequence[Notification],
    message_ids: dict[bytes, int],
    reservation_key: str | None,
) -> Sequence[Notification]:
    """Turn the reserved slots of these users into sends; return notifications without a slot."""
    reservation = select_reservation(connection, reservation_key) if reservation_key else None
    if reservation is None or not notifications:
        return notifications
    first = {n.user_id: n for n in reversed(notifications)}
    ordered = sorted(first.values(), key=lambda n: n.user_id)
    sends = ReservedSends(
        read_uuids(n.user_id for n in ordered),
        [message_ids[n.texts.digest] for n in ordered],
        [n.actually_sent_at for n in ordered],
    )
    held = set(confirm_slots(connection, reservation, sends))
    return [n for n in notifications if n.user_id not in held or n is not first[n.user_id]]
