"""Slow down guessing: after too many unknown tokens, nobody may sign in for a while."""

from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.access.sign_in_failures import insert_failure, select_failure

WINDOW: Final = timedelta(minutes=5)
#: The number of sign-ins that may fail within the window, from one address and from all together.
OF_AN_ADDRESS: Final = 10
OF_ALL: Final = 200


def find_pause(database: Database, address: str, now: datetime) -> timedelta | None:
    """Return how long sign-ins from `address` are still refused; None if they are allowed."""
    since = now - WINDOW
    with database.transaction() as connection:
        full = [
            at
            for whose, limit in ((address, OF_AN_ADDRESS), (None, OF_ALL))
            if (at := select_failure(connection, whose, since, limit))
        ]
    return max(full) + WINDOW - now if full else None


def note_failure(database: Database, address: str, now: datetime) -> None:
    """Record a sign-in with an unknown token."""
    with database.transaction() as connection:
        insert_failure(connection, address, now, now - WINDOW)
