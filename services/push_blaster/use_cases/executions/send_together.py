"""Begin pushes that are ready, many by one transaction, and send their first messages."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from chassis.postgres import Connection, DatabaseAwayError, DatabaseFaultError, LockedError
from push_blaster.adapters.delivery.batch_table import TakenBatch
from push_blaster.adapters.delivery.first_messages import (
    FIRST,
    FIRST_FENCE,
    FirstMessage,
    claim_first,
    insert_taken_batches,
)
from push_blaster.adapters.devices.device_table import select_living
from push_blaster.adapters.devices.opt_out_table import select_opt_outs_of
from push_blaster.adapters.executions.ready_executions import begin_together
from push_blaster.domain.delivery.ledger import BatchKey
from push_blaster.domain.devices.opt_out import OptOut
from push_blaster.domain.executions.timeline import WATCH_INTERVAL
from push_blaster.use_cases.context import LOCK_WAIT, SendContext
from push_blaster.use_cases.delivery.send_first import FirstMessages, send_first_messages
from push_blaster.use_cases.executions.make_ready import ReadySend

log = structlog.get_logger()


def send_together(context: SendContext, ready: Sequence[ReadySend]) -> None:
    """Begin those pushes that may begin, and send their first messages; safe to repeat.

    The others stay as they are. Shape: no user is in two of `ready`.
    """
    firsts = begin_pushes(context, ready)
    if firsts:
        send_first_messages(context, firsts)


def begin_pushes(context: SendContext, ready: Sequence[ReadySend]) -> list[FirstMessages]:
    """Begin the pushes together; a push that keeps the others waiting is left out.

    No error is raised: some of the pushes may have begun, and their messages have to go out.
    """
    try:
        now = context.clock()
        with context.database.transaction(waits_for_locks=LOCK_WAIT) as connection:
            return begin_within(connection, context.engine_id, ready, now)
    except (DatabaseAwayError, DatabaseFaultError) as fault:
        is_of_one = isinstance(fault, LockedError | DatabaseFaultError)
        if len(ready) == 1 or not is_of_one:
            first = ready[0].after.id
            log.warning("pushes_not_begun", first=first, executions=len(ready), reason=str(fault))
            return []
        half = len(ready) // 2
        return begin_pushes(context, ready[:half]) + begin_pushes(context, ready[half:])


def begin_within(
    connection: Connection, engine_id: str, ready: Sequence[ReadySend], now: datetime
) -> list[FirstMessages]:
    """Begin the pushes and claim their first messages, all within one transaction."""
    # The more pushes begin together, the later they are watched: their messages go first.
    again_at = now + WATCH_INTERVAL * (1 + len(ready) / 100)
    begun = {one.after.id: one.begin(now) for one in _leave_out_stale(connection, ready, now)}
    ids = begin_together(connection, list(begun.values()), now, again_at)
    gone = [one for one in ready if one.after.id in ids]
    insert_taken_batches(connection, [(one.page, one.batches) for one in gone], engine_id, now)
    wanted = [
        FirstMessage(one.page, message.user_id, message.variant)
        for one in gone
        for message in one.messages
    ]
    claimed = claim_first(connection, wanted, now)
    return [
        FirstMessages(
            execution=begun[one.after.id].after,
            batch=_taken(one),
            messages=[m for m in one.messages if (one.after.id, m.user_id) in claimed],
        )
        for one in gone
    ]


def _leave_out_stale(
    connection: Connection, ready: Sequence[ReadySend], now: datetime
) -> list[ReadySend]:
    """Leave out pushes of which a device was forgotten, or called dead, or a user opted out."""
    tokens = [token for one in ready for token, _ in one.devices]
    living = select_living(connection, tokens) if tokens else frozenset()
    users = [message.user_id for one in ready for message in one.messages]
    opt_outs = select_opt_outs_of(connection, users, now)
    return [one for one in ready if one.devices <= living and not _is_unwanted(one, opt_outs)]


def _is_unwanted(one: ReadySend, opt_outs: Sequence[OptOut]) -> bool:
    """Return whether a user who would get one of the first messages does not want it."""
    automation, users = one.after.automation, {message.user_id for message in one.messages}
    layer_id = automation.pushes[one.position - 1].layer_id
    return any(o.user_id in users and o.concerns(layer_id, automation.id) for o in opt_outs)


def _taken(one: ReadySend) -> TakenBatch:
    first = one.batches[FIRST]
    return TakenBatch(
        key=BatchKey(one.after.id, one.position, first.number),
        offset=first.offset,
        rows=first.rows,
        fence=FIRST_FENCE,
        failures=0,
    )
