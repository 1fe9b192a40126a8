"""Retention: deletes keys, reservations and texts that no kept notification needs."""

from datetime import datetime

from chassis.postgres import BulkConnection
from chassis.rows import execute


def delete_old_keys(connection: BulkConnection, before: datetime) -> int:
    """Delete idempotency keys of notifications sent before then; return how many."""
    return execute(connection, "DELETE FROM notification_keys WHERE sent_at < %(t)s", {"t": before})


def delete_old_reservations(connection: BulkConnection, before: datetime) -> int:
    """Delete reservations that ended and were for before then; return how many."""
    sql = "DELETE FROM reservations WHERE scheduled_for < %(t)s AND expires_at < %(t)s"
    return execute(connection, sql, {"t": before})


def release_unsettled(connection: BulkConnection, expired_before: datetime) -> int:
    """Release unsettled reservations that ran out before then; return how many slots they had."""
    sql = """
        WITH released AS (
          UPDATE reservations SET state = 'released'
           WHERE state = 'expired' AND expires_at < %(t)s
          RETURNING id)
        DELETE FROM held_slots USING released WHERE reservation_id = released.id
    """
    return execute(connection, sql, {"t": expired_before})


def delete_slots_without_owner(connection: BulkConnection) -> int:
    """Delete slots whose reservation cannot be settled any more; return how many.

    Whoever writes slots has their reservation locked, so there should be no such slots.
    """
    sql = """
        DELETE FROM held_slots h
         WHERE NOT EXISTS (SELECT 1 FROM reservations r
                            WHERE r.id = h.reservation_id AND r.state IN ('reserved', 'expired'))
    """
    return execute(connection, sql)


def delete_unused_messages(connection: BulkConnection) -> int:
    """Delete texts that no notification has any more; return how many."""
    sql = """
        DELETE FROM messages m
         WHERE NOT EXISTS (SELECT 1 FROM user_notifications n WHERE n.message_id = m.id)
    """
    return execute(connection, sql)
