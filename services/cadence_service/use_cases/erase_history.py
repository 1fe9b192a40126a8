"""Erase the history of a user, and record that it was done."""

from datetime import datetime
from uuid import UUID

from cadence_service.adapters.user_erasure import delete_user
from cadence_service.use_cases.record_change import recorded
from chassis.postgres import BulkDatabase


def erase_history(database: BulkDatabase, user_id: UUID, caller: str, now: datetime) -> int:
    """Erase all that is known of a user, known or not; return how many rows. Safe to repeat.

    The record of it does not say whose history it was.
    """
    with recorded(database, "user_erased", caller, {}, now) as done:
        with database.transaction() as connection:
            deleted = delete_user(connection, user_id)
        done.update(deleted)
    return sum(deleted.values())
