"""Count in the background, for results, what pushes that have ended did to the ledger."""

import time
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.engagement.push_sample import sample_batches, shrink_sample
from push_blaster.adapters.engagement.result_counting import (
    close_count,
    count_batches,
    keep_sent,
    take_uncounted,
)

#: After this time a run begins no further transaction.
COUNTING_S: Final = 0.5


def count_results(database: Database) -> None:
    """Count some batches; a later run goes on, in this engine or in another."""
    begun_at = time.monotonic()
    is_more = True
    while is_more and time.monotonic() - begun_at < COUNTING_S:
        is_more = count_some(database)
        while is_more and _shrink_sample(database):
            pass


def count_some(database: Database) -> bool:
    """Count a part of a push in one transaction; False if no push waits."""
    with database.transaction() as connection:
        push = take_uncounted(connection)
        if push is None:
            return False
        if push.is_gone:
            close_count(connection, push)
        elif push.next_batch is None:
            keep_sent(connection, push)
        else:
            count_batches(connection, push)
            sample_batches(connection, push)
    return True


def _shrink_sample(database: Database) -> bool:
    with database.transaction() as connection:
        return shrink_sample(connection)
