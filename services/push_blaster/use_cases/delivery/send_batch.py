"""Send one batch of a push: ask cadence, find tokens, personalise, send, settle, track."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from chassis.postgres import Connection, Database, DatabaseAwayError
from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.adapters.cadence.cadence_http import CadenceBusyError
from push_blaster.adapters.delivery.batch_table import (
    TakenBatch,
    Tally,
    add_to_tally,
    count_failure,
    defer_batch,
    finish_batch,
    keep_batch,
    take_batch,
)
from push_blaster.adapters.delivery.delivery_ledger import (
    DeferredUser,
    select_deferred,
    select_windows,
)
from push_blaster.adapters.engagement.result_push_table import ResultPush, insert_result_pushes
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_view import NewerExecutionError, select_execution
from push_blaster.adapters.funnels import keep_counts
from push_blaster.adapters.operations.execution_stops import end_execution
from push_blaster.adapters.operations.shortages import find_shortage
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.automations.automation import InDoubtPolicy
from push_blaster.domain.delivery.ledger import BatchKey, LedgerPage, LedgerState
from push_blaster.domain.delivery.message import Message, Outcome
from push_blaster.domain.delivery.rate_limit import messages_a_turn, rest_after
from push_blaster.domain.delivery.retry import Tried
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.modes import delivers, is_dry
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.safeguards import (
    Severity,
    Violation,
    ViolationType,
    exceeds_failure_rate,
)
from push_blaster.use_cases.cadence.ask_cadence import ReservedSlots
from push_blaster.use_cases.cadence.slots_key import find_slots_key
from push_blaster.use_cases.cadence.track_sends import track_page, track_so_far
from push_blaster.use_cases.context import (
    SendContext,
    StepContext,
    StepFailedError,
    StepStoppedError,
    fit_to_mode,
    report,
    report_shortage,
    watch_for_stop,
)
from push_blaster.use_cases.delivery.choose_receivers import (
    PageSnapshot,
    choose_receivers,
    find_gone,
)
from push_blaster.use_cases.delivery.decide_winner import decide_when_due
from push_blaster.use_cases.delivery.find_opted_out import find_opted_out
from push_blaster.use_cases.delivery.mark_dead_devices import judge_devices
from push_blaster.use_cases.delivery.note_lateness import note_lateness
from push_blaster.use_cases.delivery.personalise import personalise_push
from push_blaster.use_cases.delivery.record_outcomes import settle_from_journals
from push_blaster.use_cases.delivery.send_messages import (
    SendTask,
    Unfinished,
    leave_in_doubt,
    leave_unreachable,
    ledger_outlet,
    read_states,
    send_messages,
)

log = structlog.get_logger()

#: Unexpected errors of one batch after which the whole execution is given up.
MAX_FAILURES: Final = 5
#: How long a batch waits for what its engine is short of.
SUPPLIES_PAUSE: Final = timedelta(seconds=5)
#: The pause before cadence is notified again after a failure.
TRACK_AGAIN: Final = timedelta(minutes=1)


def send_batch(context: SendContext, key: BatchKey) -> None:
    """Send one batch, or what an earlier attempt left of it; safe to repeat."""
    taken = _take(context, key)
    if taken is None:
        return
    batch, execution = taken
    try:
        _send_batch(fit_to_mode(context, execution.mode), execution, batch)
    except StepStoppedError as stopped:
        log.info(
            "batch_given_up", execution=key.execution_id, batch=key.number, reason=str(stopped)
        )
    except DatabaseAwayError:
        raise
    except StepFailedError as failure:
        give_up(context, execution, batch, failure)
    except Exception as error:
        log.exception("batch_crashed", execution=key.execution_id, batch=key.number)
        _count_failure(context, execution, batch, error)


def _take(context: SendContext, key: BatchKey) -> tuple[TakenBatch, Execution] | None:
    """Take the batch; its push may have been begun by an engine that wrote no results down."""
    try:
        with context.database.transaction() as connection:
            batch = take_batch(connection, key, context.engine_id)
            if batch is None:
                return None
            execution = select_execution(connection, key.execution_id)
            sent_at = execution.pushes[key.position - 1].due_at or context.clock()
            insert_result_pushes(connection, [ResultPush(execution, key.position, sent_at)])
            return batch, execution
    except NewerExecutionError as newer:
        log.info("left_to_a_newer_engine", reason=str(newer))
        return None


def _send_batch(context: SendContext, execution: Execution, batch: TakenBatch) -> None:
    page, in_doubt = batch.key.page, execution.automation.settings.in_doubt
    resend = in_doubt is InDoubtPolicy.RESEND or not delivers(execution.mode)
    snapshot, left = _read_page(context, execution, batch)
    left = left if resend else _skip_in_doubt(context, page, left)
    begun_at = context.clock()

    def may_send(connection: Connection) -> bool:
        return keep_batch(connection, batch, context.clock())

    try:
        messages, keys = _prepare(context, execution, batch, snapshot, left, may_send)
    except CadenceBusyError as busy:
        _wait_for_cadence(context, batch, busy)
        return
    messages, rests_until = _take_turn(execution, messages, begun_at)
    should_stop = watch_for_stop(context, execution.id, may_send, every_s=0.5)
    task = SendTask(
        page=page,
        may_send=may_send,
        should_stop=should_stop,
        resend_in_doubt=resend,
        keep_slots=ReservedSlots(context, execution, keys, is_new=snapshot.is_first).keep,
        note_begin=partial(note_lateness, context, execution, page),
        tally=lambda outcomes: tally_outcomes(context.database, execution, batch, outcomes),
        left=left,
        find_opted_out=lambda connection, users: find_opted_out(
            connection, execution, page.position, users, context.clock()
        ),
    )
    try:
        send_messages(context, task, messages)
    except BaseException:
        track_so_far(context, execution, page)
        raise
    if rests_until:
        _put_off(context.database, batch, rests_until, rests=True)
    else:
        _finish(context, execution, batch)


def _skip_in_doubt(context: SendContext, page: LedgerPage, left: Unfinished) -> Unfinished:
    """Leave the messages in doubt whose send began before a crash; return what is left to send."""
    reason = "its send began before a crash; the policy is to skip"
    leave_in_doubt(context, page, left.in_doubt, reason)
    return replace(left, in_doubt=frozenset())


def _wait_for_supplies(
    context: StepContext, execution: Execution, batch: TakenBatch, shortage: str
) -> None:
    """Defer the batch until the engine may have what it is short of; that is no failure."""
    report_shortage(context, execution, shortage)
    _put_off(context.database, batch, context.clock() + SUPPLIES_PAUSE)


def _wait_for_cadence(context: SendContext, batch: TakenBatch, busy: CadenceBusyError) -> None:
    """Give the batch back until cadence may be asked again; no worker waits meanwhile."""
    log.info("batch_waits_for_cadence", batch=batch.key.number, reason=str(busy))
    _put_off(context.database, batch, context.clock() + timedelta(seconds=busy.pause_s))


def _take_turn(
    execution: Execution, messages: list[Message], now: datetime
) -> tuple[list[Message], datetime | None]:
    """Return the messages of this turn, and until when the batch rests afterwards, or None.

    Only a batch whose automation has a rate of its own is sent in turns.
    """
    rate = execution.automation.settings.rate_per_minute
    if rate is None or not messages or not delivers(execution.mode):
        return messages, None
    turn = messages[: messages_a_turn(rate)]
    return turn, now + rest_after(rate, len(turn))


def _read_page(
    context: StepContext, execution: Execution, batch: TakenBatch
) -> tuple[PageSnapshot, Unfinished]:
    """Return the ledger's states of the users, and the users whose send is unfinished."""
    page = batch.key.page
    if batch.fence > 1:
        settle_from_journals(ledger_outlet(context, page), context.data_folder)
    states = read_states(context, execution, page)
    with context.database.transaction() as connection:
        is_deferred = LedgerState.DEFERRED in states.values()
        deferred = select_deferred(connection, page) if is_deferred else {}
        windows = select_windows(connection, page) if states else {}
    now = context.clock()
    due = {user_id: tried for user_id, (tried, due_at) in deferred.items() if due_at <= now}
    untried = frozenset(user_id for user_id, tried in due.items() if not tried.times)
    claimed = (u for u, state in states.items() if state == LedgerState.CLAIMED)
    left = Unfinished(
        in_doubt=frozenset(claimed),
        deferred=due | dict.fromkeys(untried, Tried(0, now)),
    )
    is_first = batch.fence == 1
    return PageSnapshot(states=states, windows=windows, due=untried, is_first=is_first), left


def _put_off(
    database: Database, batch: TakenBatch, until: datetime, *, rests: bool = False
) -> None:
    """Give the batch back until then, with its counts, which nobody changes meanwhile."""
    with database.transaction() as connection:
        defer_batch(connection, batch, until, rests=rests)
        keep_counts(connection, batch.key.page)


def _finish(context: SendContext, execution: Execution, batch: TakenBatch) -> None:
    """Defer the batch until its first deferred message is due, or end it."""
    page = batch.key.page
    with context.database.transaction() as connection:
        deferred = select_deferred(connection, page)
    if deferred:
        _defer(context, execution, batch, deferred.values())
        return
    _judge_devices(context, execution, batch)
    is_tracked = track_page(context, execution, page)
    now = context.clock()
    with context.database.transaction() as connection:
        finish_batch(connection, batch, now, tracked_at=now if is_tracked else None)
        keep_counts(connection, page)


def _judge_devices(context: StepContext, execution: Execution, batch: TakenBatch) -> None:
    """Decide about devices that were called dead, now that the batch has all its outcomes."""
    with context.database.transaction() as connection:
        if not keep_batch(connection, batch, context.clock()):
            raise StepStoppedError("the execution has ended, or another engine has the batch")
        failed = judge_devices(connection, execution, batch.key.page, context.clock())
    if failed:
        tally_outcomes(context.database, execution, batch, Counter({Outcome.FAILED: failed}))


def _defer(
    context: SendContext,
    execution: Execution,
    batch: TakenBatch,
    deferred: Collection[DeferredUser],
) -> None:
    """Defer the batch; cadence is notified of its sends now if it waits for a send window.

    A window may open later than a reservation lasts. If cadence is away, the batch is soon due.
    """
    due_at = min(one.due_at for one in deferred)
    awaits_window = any(not one.tried.times for one in deferred)
    if awaits_window and not track_so_far(context, execution, batch.key.page):
        due_at = min(due_at, context.clock() + TRACK_AGAIN)
    _put_off(context.database, batch, due_at)


def _prepare(
    context: SendContext,
    execution: Execution,
    batch: TakenBatch,
    snapshot: PageSnapshot,
    left: Unfinished,
    may_send: Callable[[Connection], bool],
) -> tuple[list[Message], set[str]]:
    """Return the messages still to be sent, and the keys of the reservations of their slots.

    The users who get no message are recorded, with the reason.
    """
    page, position = batch.key.page, batch.key.position
    audience = execution.pushes[position - 1].audience
    if audience is None:
        raise StepFailedError(f"Push {position} has no audience.")
    rows = read_batch(context.data_folder / audience.file, batch.offset, batch.rows)
    execution = decide_when_due(context, execution, position, may_send)
    receivers = choose_receivers(context, execution, page, rows, snapshot, may_send)
    begun = (left.in_doubt | left.deferred.keys()) - snapshot.due
    again = [row for row in rows if row.user_id in begun] if begun else []
    again = _leave_gone(context, execution, page, left, again, may_send)
    personal = personalise_push(context, execution, page, [*again, *receivers.rows])
    leave_unreachable(context, page, left, personal.refusals, may_send)
    known = receivers.windows
    windows = {known.get(one.user_id) for one in personal.messages} if known else {None}
    return personal.messages, {find_slots_key(execution, page, window) for window in windows}


def _leave_gone(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    left: Unfinished,
    again: list[AudienceRow],
    may_send: Callable[[Connection], bool],
) -> list[AudienceRow]:
    """Record who is gone since an earlier attempt at the message; return the rows of the others."""
    gone = find_gone(context, execution, page.position, again) if again else {}
    leave_unreachable(context, page, left, list(gone.values()), may_send)
    return [row for row in again if row.user_id not in gone]


def tally_outcomes(
    database: Database, execution: Execution, batch: TakenBatch, outcomes: Counter[Outcome]
) -> None:
    """Count the outcomes; StepFailedError if too many messages of the push fail."""
    limit = execution.automation.settings.failure_rate
    if limit is None or is_dry(execution.mode):
        return
    with database.transaction() as connection:
        tally = Tally(outcomes[Outcome.SENT], outcomes[Outcome.FAILED])
        sent, failed = add_to_tally(connection, batch, tally)
    if exceeds_failure_rate(sent, failed, limit):
        position = batch.key.position
        text = (
            f"Push {position} was stopped: {failed} of {sent + failed} messages failed, more "
            f"than the {limit:.0%} allowed (safeguards.alertThresholds.failureRate)."
        )
        data = {"sent": sent, "failed": failed, "limit": limit}
        kind = ViolationType.FAILURE_RATE_EXCEEDED
        raise StepFailedError(text, Violation(kind, Severity.CRITICAL, text, data, position))


def _count_failure(
    context: StepContext, execution: Execution, batch: TakenBatch, error: Exception
) -> None:
    shortage = find_shortage(error)
    if shortage:
        _wait_for_supplies(context, execution, batch, shortage)
        return
    with context.database.transaction() as connection:
        failures = count_failure(connection, batch)
        text = f"Batch {batch.key.number} of push {batch.key.position}, attempt {failures}: {error}"
        stage, now = Phase.LIVE_EXECUTION, context.clock()
        append_log(connection, batch.key.execution_id, stage, text, now, LogLevel.WARNING)
    if failures >= MAX_FAILURES:
        text = f"Push {batch.key.position} failed {failures} times: {error}"
        give_up(context, execution, batch, StepFailedError(text))


def give_up(
    context: StepContext, execution: Execution, batch: TakenBatch, failure: StepFailedError
) -> None:
    """End the execution, because it must not send any more."""
    if failure.violation:
        report(context, execution, failure.violation)
    execution_id, reason, now = batch.key.execution_id, str(failure), context.clock()
    with context.database.transaction() as connection:
        end = (Phase.FAILED, reason)
        end_execution(connection, execution_id, {Phase.LIVE_EXECUTION}, end, now)
