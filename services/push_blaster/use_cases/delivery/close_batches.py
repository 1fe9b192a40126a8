"""Close the batches and tests of executions that ended without them: stopped, failed, or killed."""

import time
from datetime import timedelta
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.delivery.batch_table import (
    close_batch,
    close_untouched,
    select_unfinished,
)
from push_blaster.adapters.delivery.delivery_ledger import (
    delete_deferred,
    leave_deferred_in_doubt,
    select_open_tests,
    select_states,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.funnels import AT_ONCE as FUNNELS_AT_ONCE
from push_blaster.adapters.funnels import keep_counts, keep_funnels
from push_blaster.domain.delivery.ledger import BatchKey, LedgerPage, LedgerState
from push_blaster.domain.executions.modes import delivers
from push_blaster.use_cases.cadence.track_sends import track_page
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.delivery.mark_dead_devices import judge_devices
from push_blaster.use_cases.delivery.record_outcomes import settle_from_journals
from push_blaster.use_cases.delivery.send_messages import (
    leave_in_doubt,
    leave_tried_out,
    ledger_outlet,
)

#: After this time a worker has noticed the end of its execution, and settled its messages.
WORKERS_ARE_DONE: Final = timedelta(seconds=3)
#: How many batches one run closes.
AT_ONCE: Final = 50
#: After this time a run keeps no more funnels.
KEEPING_S: Final = 1.0


def close_batches(context: SendContext) -> int:
    """Settle messages in doubt, notify cadence of the sends, give back the slots of other users.

    Returns how many batches and tests were closed. Cadence that is away is notified later.
    """
    ended_before = context.clock() - WORKERS_ARE_DONE
    with context.database.transaction() as connection:
        close_untouched(connection, context.clock())
        unfinished = select_unfinished(connection, ended_before, AT_ONCE)
        pages = [key.page for key in unfinished]
        pages += select_open_tests(connection, ended_before, AT_ONCE)
    is_closed = all(_close(context, page) for page in pages)
    _keep_funnels(context.database)
    return len(pages) if is_closed else 0


def _keep_funnels(database: Database) -> None:
    """Keep the funnels of pushes that have ended; a run takes about a second at the most."""
    begun_at = time.monotonic()
    while time.monotonic() - begun_at < KEEPING_S:
        with database.transaction() as connection:
            if keep_funnels(connection) < FUNNELS_AT_ONCE:
                return


def _close(context: SendContext, page: LedgerPage) -> bool:
    with context.database.transaction() as connection:
        execution = select_execution(connection, page.execution_id)
    settle_from_journals(ledger_outlet(context, page), context.data_folder)
    with context.database.transaction() as connection:
        states = select_states(connection, page)
    claimed = [user_id for user_id, state in states.items() if state == LedgerState.CLAIMED]
    if delivers(execution.mode):
        leave_in_doubt(context, page, claimed, "its send had begun when the execution ended")
    else:
        leave_tried_out(context, page, claimed)
    with context.database.transaction() as connection:
        leave_deferred_in_doubt(connection, page)
        judge_devices(connection, execution, page, context.clock())
    # The rows of deferred users say for which send windows slots may be reserved.
    if not track_page(context, execution, page):
        return False
    with context.database.transaction() as connection:
        delete_deferred(connection, page)
        if not page.is_test:
            key = BatchKey(page.execution_id, page.position, page.batch)
            close_batch(connection, key, context.clock())
            keep_counts(connection, page)
    return True
