"""Record sends in the cadence service; while it is away, record them later."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from chassis.http.correlation import working_on
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.cadence.untracked_pages import (
    mark_tracked,
    select_sends,
    select_sent_users,
    select_untracked_pages,
)
from push_blaster.adapters.delivery.delivery_ledger import select_asked_windows
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.cadence.cadence import TEST_LAYER, SentTexts, TrackedSend, tracking_key
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import delivers
from push_blaster.domain.executions.timeline import counted_instant
from push_blaster.use_cases.cadence.slots_key import find_slots_key
from push_blaster.use_cases.context import SendContext, StepContext

log = structlog.get_logger()

#: How many pages are read at once.
PAGES: Final = 100
#: A page finished less than this ago is recorded by its own batch.
FRESH: Final = timedelta(seconds=10)


def track_sends(context: SendContext) -> int:
    """Record the pages that could not be recorded at once; return how many."""
    tracked = 0
    while True:
        with context.database.transaction() as connection:
            pages = select_untracked_pages(connection, context.clock() - FRESH, PAGES)
        for page in pages:
            with context.database.transaction() as connection:
                execution = select_execution(connection, page.execution_id)
            with working_on(execution.id):
                is_recorded = track_page(context, execution, page)
            if not is_recorded:
                return tracked
            tracked += 1
        if not pages:
            return tracked


def track_page(context: SendContext, execution: Execution, page: LedgerPage) -> bool:
    """Record the sends of a finished page, and release its other slots.

    False means that cadence is away; the page stays in the ledger as untracked.
    """
    return _record(context, execution, page, is_done=True)


def track_so_far(context: SendContext, execution: Execution, page: LedgerPage) -> bool:
    """Record the sends of an unfinished page, and keep its slots reserved.

    False means that cadence is away.
    """
    return _record(context, execution, page, is_done=False)


def _record(context: SendContext, execution: Execution, page: LedgerPage, *, is_done: bool) -> bool:
    if not delivers(execution.mode):
        return _leave_unrecorded(context, page, is_done=is_done)
    with context.database.transaction() as connection:
        windows = {} if page.is_test else select_asked_windows(connection, page)
    try:
        if windows:
            _record_by_window(context, execution, page, windows, is_done=is_done)
        elif page.is_test or not is_done or not _settle(context, execution, page):
            _record_one_by_one(context, execution, page)
    except CadenceUnavailableError as error:
        log.warning(
            "tracking_postponed", execution=execution.id, batch=page.batch, reason=str(error)
        )
        return False
    if is_done:
        with context.database.transaction() as connection:
            mark_tracked(connection, page, context.clock())
    return True


def _record_one_by_one(context: SendContext, execution: Execution, page: LedgerPage) -> None:
    with context.database.transaction() as connection:
        sends = select_sends(connection, page)
    key = None if page.is_test else find_slots_key(execution, page)
    context.cadence.track([_tracked(execution, page, *send) for send in sends.items()], key)


def _record_by_window(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    windows: Mapping[UUID, datetime],
    *,
    is_done: bool,
) -> None:
    """Record the sends one by one, each under the reservation of its send window.

    Earlier sends may be recorded already, without a reservation; one by one none counts twice.
    """
    with context.database.transaction() as connection:
        sends = select_sends(connection, page)
    for window in {None, *windows.values()}:
        key = find_slots_key(execution, page, window)
        own = [send for send in sends.items() if windows.get(send[0]) == window]
        context.cadence.track([_tracked(execution, page, *send, window) for send in own], key)
        if is_done:
            context.cadence.settle(key, _sent_push(execution, page), context.clock(), b"")


def _leave_unrecorded(context: StepContext, page: LedgerPage, *, is_done: bool) -> bool:
    """Mark the page of a dry run as tracked: cadence counts only delivered messages."""
    if is_done:
        with context.database.transaction() as connection:
            mark_tracked(connection, page, context.clock())
    return True


def _settle(context: SendContext, execution: Execution, page: LedgerPage) -> bool:
    """Settle the reservation of this page; return whether there is one."""
    with context.database.transaction() as connection:
        users, last_sent_at = select_sent_users(connection, page)
    key, push = find_slots_key(execution, page), _sent_push(execution, page)
    return context.cadence.settle(key, push, last_sent_at or context.clock(), users)


def release_slots(context: SendContext, execution: Execution, page: LedgerPage) -> None:
    """Release slots that were reserved for a push that does not begin; else they run out."""
    push = _sent_push(execution, page)
    try:
        context.cadence.settle(find_slots_key(execution, page), push, context.clock(), b"")
    except CadenceUnavailableError as error:
        log.info("slots_left_to_run_out", execution=execution.id, reason=str(error))


def _tracked(
    execution: Execution,
    page: LedgerPage,
    user_id: UUID,
    settled_at: datetime,
    window: datetime | None = None,
) -> TrackedSend:
    counted_at = None if page.is_test else counted_instant(execution, page.position)
    layer_id = execution.automation.pushes[page.position - 1].layer_id
    return TrackedSend(
        user_id=user_id,
        layer_id=TEST_LAYER if page.is_test else layer_id,
        push=_sent_push(execution, page),
        sent_at=window or counted_at or settled_at,
        actually_sent_at=settled_at,
        idempotency_key=tracking_key(execution.id, page.position, user_id, is_test=page.is_test),
    )


def _sent_push(execution: Execution, page: LedgerPage) -> SentTexts:
    push = execution.automation.pushes[page.position - 1]
    return SentTexts(
        title=push.title,
        body=push.body,
        audience_description=f"{execution.automation.name}: {push.audience_name}",
        deep_link=push.deep_link or None,
    )
