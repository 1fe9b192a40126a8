"""What hangs on old history: keys, reservations and texts that nothing refers to any more."""

from datetime import datetime

from chassis.postgres import BulkConnection


def delete_old_keys(connection: BulkConnection, before: datetime) -> int:
    """Forget idempotency keys of notifications of before then; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM notification_keys WHERE sent_at < %(t)s", {"t": before})
        return int(cursor.rowcount)


def delete_old_reservations(connection: BulkConnection, before: datetime) -> int:
    """Forget reservations that ended, and were for before then; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM reservations
             WHERE scheduled_for < %(t)s AND expires_at < %(t)s
            """,
            {"t": before},
        )
        return int(cursor.rowcount)


def delete_unused_messages(connection: BulkConnection) -> int:
    """Forget texts that no notification has any more; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM messages m
             WHERE NOT EXISTS (SELECT 1 FROM user_notifications n WHERE n.message_id = m.id)
            """
        )
        return int(cursor.rowcount)
