"""Tell the cadence service who was sent to; what it could not be told is told later."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import structlog

from push_blaster.adapters.cadence_client import CadenceUnavailableError
from push_blaster.adapters.delivery_ledger import (
    LedgerPage,
    UntrackedSend,
    mark_tracked,
    select_untracked,
    select_untracked_of,
)
from push_blaster.adapters.execution_view import select_execution
from push_blaster.domain.cadence import TrackedSend
from push_blaster.domain.execution import Execution
from push_blaster.domain.timeline import plan_pushes
from push_blaster.use_cases.parts import Parts

log = structlog.get_logger()

#: A send that began so close to its planned instant counts as sent at that instant.
ON_TIME: Final = timedelta(minutes=15)
#: How many sends are told to the cadence service in one request.
PAGE: Final = 1_000
#: What is so fresh is being tracked by its own batch.
LEAVE_ALONE: Final = timedelta(seconds=10)
#: The layer of test sends.
TEST_LAYER: Final = 4


def track_sends(parts: Parts) -> int:
    """Back-fill sends that the cadence service could not be told at once; return how many."""
    tracked = 0
    while True:
        with parts.database.transaction() as connection:
            page = select_untracked(connection, parts.clock() - LEAVE_ALONE, PAGE)
        if not page or not _tell_page(parts, page):
            return tracked
        tracked += len(page)


def track_page(parts: Parts, execution: Execution, page: LedgerPage) -> bool:
    """Tell of this page's sends now; if cadence is away, the ledger remembers them for later."""
    with parts.database.transaction() as connection:
        sends = select_untracked_of(connection, page)
    return _tell(parts, execution, page, sends)


def counted_instant(execution: Execution, position: int) -> datetime | None:
    """Return the instant at which the push's sends count: as planned, if it began on time.

    Counting a send at its planned instant is what lets a daily 12:30 automation under a 72 hour
    cooldown send on day 3, although no send ever begins at 12:30:00 exactly. A push that began
    late counts from when it began; one that has not begun has no such instant.
    """
    automation = execution.automation
    planned = plan_pushes(automation.pushes, execution.slot, automation.schedule.timezone)
    nominal = planned[position - 1]
    started_at = execution.pushes[position - 1].started_at
    return None if started_at is None else counted_at(nominal, started_at)


def counted_at(nominal: datetime, started_at: datetime) -> datetime:
    """Return the instant at which a push counts that was planned at one and began at another."""
    return nominal if abs(started_at - nominal) <= ON_TIME else started_at


def reservation_key(page: LedgerPage) -> str:
    """Return the key under which cadence holds the slots of a batch."""
    return f"{page.execution_id}/{page.position}/{page.batch}"


def _tell_page(parts: Parts, page: Sequence[UntrackedSend]) -> bool:
    def page_of(send: UntrackedSend) -> LedgerPage:
        return send.page

    for where, sends in groupby(sorted(page, key=page_of), key=page_of):
        with parts.database.transaction() as connection:
            execution = select_execution(connection, where.execution_id)
        if not _tell(parts, execution, where, list(sends)):
            return False
    return True


def _tell(
    parts: Parts, execution: Execution, page: LedgerPage, sends: Sequence[UntrackedSend]
) -> bool:
    if not sends:
        return True
    key = None if page.is_test else reservation_key(page)
    try:
        parts.cadence.track([_tracked(execution, send) for send in sends], key)
    except CadenceUnavailableError as error:
        log.warning("tracking_postponed", execution=execution.id, n=len(sends), reason=str(error))
        return False
    with parts.database.transaction() as connection:
        mark_tracked(connection, sends, parts.clock())
    return True


def _tracked(execution: Execution, send: UntrackedSend) -> TrackedSend:
    page = send.page
    push = execution.automation.pushes[page.position - 1]
    counted_at = None if page.is_test else counted_instant(execution, page.position)
    kind = "test" if page.is_test else "live"
    return TrackedSend(
        user_id=send.user_id,
        layer_id=TEST_LAYER if page.is_test else push.layer_id,
        title=push.title,
        body=push.body,
        audience_description=f"{execution.automation.name}: {push.audience_name}",
        deep_link=push.deep_link or None,
        sent_at=counted_at or send.settled_at,
        actually_sent_at=send.settled_at,
        idempotency_key=f"{execution.id}/{page.position}/{kind}/{send.user_id}",
    )
