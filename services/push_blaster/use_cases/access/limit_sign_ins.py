"""Keep guesses slow: so many tokens that nobody knows, and then a pause."""

from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.access.sign_in_failures import insert_failure, select_failure

WINDOW: Final = timedelta(minutes=5)
#: So many sign-ins may fail within the window, from one address and from all of them together.
OF_AN_ADDRESS: Final = 10
OF_ALL: Final = 200


def find_pause(database: Database, address: str, now: datetime) -> timedelta | None:
    """Return how long nobody may sign in from `address`; None if somebody may."""
    since = now - WINDOW
    with database.transaction() as connection:
        full = [
            at
            for whose, limit in ((address, OF_AN_ADDRESS), (None, OF_ALL))
            if (at := select_failure(connection, whose, since, limit))
        ]
    return max(full) + WINDOW - now if full else None


def note_failure(database: Database, address: str, now: datetime) -> None:
    """Write down that somebody tried a token that nobody knows."""
    with database.transaction() as connection:
        insert_failure(connection, address, now, now - WINDOW)
