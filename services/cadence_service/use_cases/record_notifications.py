"""Record notifications that were sent; safe to repeat with the same keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from cadence_service.adapters.notification_record import (
    Notification,
    claim_keys,
    insert_notifications,
    upsert_messages,
)
from cadence_service.adapters.rule_table import select_rule_set
from chassis.postgres import Connection


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many notifications are new, and how many had been recorded before."""

    recorded: int
    duplicates: int


def record_notifications(connection: Connection, notifications: Sequence[Notification]) -> Recorded:
    """Record each of `notifications`, once for each key; all or none of them.

    Without a key every call counts.
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
    if new:
        insert_notifications(connection, new, message_ids, rule_set.version if rule_set else None)
    return Recorded(len(new), len(notifications) - len(new))
