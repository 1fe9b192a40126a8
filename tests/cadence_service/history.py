"""Pushes that users have had, written straight into the history."""

from datetime import UTC, datetime
from typing import Any

from cadence_service.adapters.notification_record import (
    MessageTexts,
    Notification,
    insert_notifications,
    upsert_messages,
)
from chassis.postgres import BulkDatabase

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TEXTS = MessageTexts("Title", "Body", "Audience", None)


def record(database: BulkDatabase, user_id: Any, layer_id: int, at: datetime) -> None:
    sent = Notification(
        user_id=user_id,
        layer_id=layer_id,
        texts=TEXTS,
        sent_at=at,
        actually_sent_at=at,
        idempotency_key=None,
    )
    with database.transaction() as connection:
        ids = upsert_messages(connection, [TEXTS])
        insert_notifications(connection, [sent], ids, 1)
