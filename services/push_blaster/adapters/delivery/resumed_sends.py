"""What a stopped execution left: whom it had reached, and what of it is still open."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from chassis.postgres import Connection

#: Whoever stands so was sent to, or may have been, or was by the one before it.
_REACHED = ("sent", "in_doubt", "claimed", "sent_before")


def select_reached(
    connection: Connection, execution_id: str, position: int, user_ids: Collection[UUID]
) -> set[UUID]:
    """Return whom of `user_ids` the execution's push reached, or may have reached."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT user_id FROM deliveries
             WHERE execution_id = %(id)s AND position = %(position)s AND NOT is_test
               AND user_id = ANY(%(users)s::uuid[]) AND state = ANY(%(states)s)
            """,
            {
                "id": execution_id,
                "position": position,
                "users": list(user_ids),
                "states": list(_REACHED),
            },
        )
        return {row[0] for row in cursor}


def is_wound_up(connection: Connection, execution_id: str) -> bool:
    """Return whether every batch that was begun is closed, and with it its slots given back."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT NOT EXISTS (SELECT FROM send_batches
                                WHERE execution_id = %(id)s AND fence > 0 AND done_at IS NULL)
               AND NOT EXISTS (SELECT FROM deliveries
                                WHERE execution_id = %(id)s AND NOT is_test AND state = 'claimed')
            """,
            {"id": execution_id},
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def select_snapshot(connection: Connection, execution_id: str) -> Mapping[str, Any]:
    """Return the automation's document as it was when the execution started."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT snapshot FROM executions WHERE id = %(id)s", {"id": execution_id})
        row = cursor.fetchone()
    return dict(row[0]) if row else {}
