"""Fold what was reported into counters: events, then conversions, in small transactions."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from chassis.postgres import Connection, Database, DatabaseAwayError
from push_blaster.adapters.engagement.conversion_table import (
    CONVERSIONS_AT_ONCE,
    attribute_conversions,
    look_again,
)
from push_blaster.adapters.engagement.event_inbox import (
    REQUESTS_AT_ONCE,
    fold_events,
    take_fold_lock,
)

#: An execution that ended so long ago has its last users in the ledger.
SETTLED_FOR: Final = timedelta(minutes=1)
#: How many times fewer reports the next transaction takes when one needs too much time.
FEWER: Final = 20


def look_at_ended(database: Database, now: datetime) -> int:
    """Let conversions wait again that executions may have, which have ended; return how many."""
    return _once(database, lambda connection: look_again(connection, now - SETTLED_FOR))


def fold_reports(database: Database, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Count all that waits; return how much it was. Another engine may do the same at any time.

    Each transaction takes what it counts, so that a kill at any instant loses and doubles nothing.
    Reports that need more time together than a statement may take are counted in smaller parts.
    """
    events = _until_few(database, fold_events, REQUESTS_AT_ONCE, should_stop)
    return events + _until_few(database, attribute_conversions, CONVERSIONS_AT_ONCE, should_stop)


def _until_few(
    database: Database,
    step: Callable[[Connection, int], int],
    full: int,
    should_stop: Callable[[], bool],
) -> int:
    """Repeat a step while it finds as much as it may take; return how much it took."""
    taken, more = 0, full
    while more == full and not should_stop():
        try:
            more = _once(database, partial(_take, step, full))
        except DatabaseAwayError:
            if full == 1:
                raise
            more = full = max(1, full // FEWER)
        else:
            taken += more
    return taken


def _take(step: Callable[[Connection, int], int], most: int, connection: Connection) -> int:
    return step(connection, most)


def _once(database: Database, step: Callable[[Connection], int]) -> int:
    """Run a step in a transaction; if another engine is at it, return 0."""
    with database.transaction() as connection:
        return step(connection) if take_fold_lock(connection) else 0
