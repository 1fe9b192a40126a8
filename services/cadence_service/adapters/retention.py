"""Retention: deletes keys, reservations and texts that no kept notification needs."""

from datetime import datetime

from chassis.postgres import BulkConnection
from chassis.rows import execute


def delete_old_keys(connection: BulkConnection, before: datetime) -> int:
    """Delete idempotency keys of notifications sent before then; return how many."""
    return execute(connection, "DELETE FROM notification_keys WHERE sent_at < %(t)s", {"t": before})


def delete_old_reservations(connection: BulkConnection, before: datetime) -> int:
    """Delete reservations that ended and were for before then; return how many."""
    return execute(
        connection,
        "DELETE FROM reservations WHERE scheduled_for < %(t)s AND expires_at < %(t)s",
        {"t": before},
    )


def delete_unused_messages(connection: BulkConnection) -> int:
    """Delete texts that no notification has any more; return how many."""
    return execute(
        connection,
        """
        DELETE FROM messages m
         WHERE NOT EXISTS (SELECT 1 FROM user_notifications n WHERE n.message_id = m.id)
        """,
    )
