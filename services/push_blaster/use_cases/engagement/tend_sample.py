"""Finish the pushes of the sample of users, of which the fatigue curve is made."""

import time
from datetime import datetime
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.engagement.push_sample import PUSHES_AT_ONCE, finish_pushes

#: After this time a run begins no further transaction.
_FINISHING_S: Final = 0.5


def tend_sample(database: Database, now: datetime) -> None:
    """Finish some pushes whose day is over; a later run goes on, in this engine or in another."""
    begun_at = time.monotonic()
    is_more = True
    while is_more and time.monotonic() - begun_at < _FINISHING_S:
        with database.transaction() as connection:
            is_more = finish_pushes(connection, now) == PUSHES_AT_ONCE
