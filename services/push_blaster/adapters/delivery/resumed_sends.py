"""The state that a stopped execution left: the users that it reached, and its open batches."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_value, fetch_values
from push_blaster.domain.delivery.ledger import LedgerState

#: A user in one of these states got the message, or may have, or got it from the execution before.
_REACHED: Final = (
    LedgerState.SENT,
    LedgerState.IN_DOUBT,
    LedgerState.CLAIMED,
    LedgerState.SENT_BEFORE,
)


def select_reached(
    connection: Connection, execution_id: str, position: int, user_ids: Collection[UUID]
) -> set[UUID]:
    """Return which of `user_ids` the execution's push reached, or may have reached."""
    sql = """
        SELECT user_id FROM deliveries
         WHERE execution_id = %(id)s AND position = %(position)s AND NOT is_test
           AND user_id = ANY(%(users)s::uuid[]) AND state = ANY(%(states)s)
    """
    values = {
        "id": execution_id,
        "position": position,
        "users": list(user_ids),
        "states": list(_REACHED),
    }
    reached = fetch_values(connection, sql, values)
    return set(reached)


def has_settled(connection: Connection, execution_id: str) -> bool:
    """Return whether every batch that was begun is closed, and its slots are given back."""
    sql = """
        SELECT NOT EXISTS (SELECT FROM send_batches
                            WHERE execution_id = %(id)s AND fence > 0 AND done_at IS NULL)
           AND NOT EXISTS (SELECT FROM deliveries
                            WHERE execution_id = %(id)s AND NOT is_test AND state = 'claimed')
    """
    return bool(fetch_value(connection, sql, {"id": execution_id}))
