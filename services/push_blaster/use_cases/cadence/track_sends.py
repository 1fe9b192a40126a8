"""Tell the cadence service who was sent to; what it could not be told is told later."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from chassis.correlation import working_on
from push_blaster.adapters.cadence.cadence_client import CadenceUnavailableError
from push_blaster.adapters.cadence.untracked_pages import (
    mark_tracked,
    select_sends,
    select_sent_users,
    select_untracked_pages,
)
from push_blaster.adapters.delivery.delivery_ledger import reservation_key, select_windows
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.cadence.cadence import TEST_LAYER, SentPush, TrackedSend
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import delivers
from push_blaster.domain.executions.timeline import counted_instant
from push_blaster.use_cases.context import SendContext, StepContext

log = structlog.get_logger()

#: How many pages are looked for at once.
PAGES: Final = 100
#: What is so fresh is being tracked by its own batch.
LEAVE_ALONE: Final = timedelta(seconds=10)


def track_sends(context: SendContext) -> int:
    """Tell of pages that the cadence service could not be told of at once; return how many."""
    tracked = 0
    while True:
        with context.database.transaction() as connection:
            pages = select_untracked_pages(connection, context.clock() - LEAVE_ALONE, PAGES)
        for page in pages:
            with context.database.transaction() as connection:
                execution = select_execution(connection, page.execution_id)
            with working_on(execution.id):
                is_told = track_page(context, execution, page)
            if not is_told:
                return tracked
            tracked += 1
        if not pages:
            return tracked


def track_page(context: SendContext, execution: Execution, page: LedgerPage) -> bool:
    """Tell of this page's sends, and give back the slots of the others, now that it is done.

    False means that cadence is away; the ledger remembers the page for later.
    """
    return _tell(context, execution, page, is_done=True)


def track_so_far(context: SendContext, execution: Execution, page: LedgerPage) -> bool:
    """Tell of this page's sends, while whoever goes on with it goes on with its slots.

    False: they could not be told.
    """
    return _tell(context, execution, page, is_done=False)


def _tell(context: SendContext, execution: Execution, page: LedgerPage, *, is_done: bool) -> bool:
    if not delivers(execution.mode):
        return _leave_untold(context, page, is_done=is_done)
    with context.database.transaction() as connection:
        held_until = {} if page.is_test else select_windows(connection, page)
    try:
        if held_until:
            _tell_by_turn(context, execution, page, held_until, is_done=is_done)
        elif page.is_test or not is_done or not _settle(context, execution, page):
            _tell_one_by_one(context, execution, page)
    except CadenceUnavailableError as error:
        log.warning(
            "tracking_postponed", execution=execution.id, batch=page.batch, reason=str(error)
        )
        return False
    if is_done:
        with context.database.transaction() as connection:
            mark_tracked(connection, page, context.clock())
    return True


def _tell_one_by_one(context: SendContext, execution: Execution, page: LedgerPage) -> None:
    with context.database.transaction() as connection:
        sends = select_sends(connection, page)
    key = None if page.is_test else reservation_key(page)
    context.cadence.track([_tracked(execution, page, *send) for send in sends.items()], key)


def _tell_by_turn(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    held_until: Mapping[UUID, datetime],
    *,
    is_done: bool,
) -> None:
    """Tell of the sends one by one, each under the reservation of its turn; give back the rest.

    Some were told of long ago, and their reservations have run out: one by one none counts twice.
    """
    with context.database.transaction() as connection:
        sends = select_sends(connection, page)
    for turn in {None, *held_until.values()}:
        key = reservation_key(page, turn)
        own = [send for send in sends.items() if held_until.get(send[0]) == turn]
        context.cadence.track([_tracked(execution, page, *send, turn) for send in own], key)
        if is_done:
            context.cadence.settle(key, _sent_push(execution, page), context.clock(), b"")


def _leave_untold(context: StepContext, page: LedgerPage, *, is_done: bool) -> bool:
    """Note that there is nothing to tell of this page: cadence counts what was delivered."""
    if is_done:
        with context.database.transaction() as connection:
            mark_tracked(connection, page, context.clock())
    return True


def _settle(context: SendContext, execution: Execution, page: LedgerPage) -> bool:
    """Settle the reservation of this page; return whether there is one."""
    with context.database.transaction() as connection:
        users, last_sent_at = select_sent_users(connection, page)
    key, push = reservation_key(page), _sent_push(execution, page)
    return context.cadence.settle(key, push, last_sent_at or context.clock(), users)


def _tracked(
    execution: Execution,
    page: LedgerPage,
    user_id: UUID,
    settled_at: datetime,
    held_until: datetime | None = None,
) -> TrackedSend:
    counted_at = None if page.is_test else counted_instant(execution, page.position)
    kind = "test" if page.is_test else "live"
    layer_id = execution.automation.pushes[page.position - 1].layer_id
    return TrackedSend(
        user_id=user_id,
        layer_id=TEST_LAYER if page.is_test else layer_id,
        push=_sent_push(execution, page),
        sent_at=held_until or counted_at or settled_at,
        actually_sent_at=settled_at,
        idempotency_key=f"{execution.id}/{page.position}/{kind}/{user_id}",
    )


def _sent_push(execution: Execution, page: LedgerPage) -> SentPush:
    push = execution.automation.pushes[page.position - 1]
    return SentPush(
        title=push.title,
        body=push.body,
        audience_description=f"{execution.automation.name}: {push.audience_name}",
        deep_link=push.deep_link or None,
    )
