"""Send one batch of a push: ask cadence, find tokens, personalise, send, settle, track."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from chassis.postgres import Connection, Database, DatabaseAwayError
from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.adapters.delivery.batch_table import (
    TakenBatch,
    add_to_tally,
    count_failure,
    finish_batch,
    keep_batch,
    put_off_batch,
    take_batch,
)
from push_blaster.adapters.delivery.delivery_ledger import (
    LedgerPage,
    reservation_key,
    select_deferred,
    select_held,
    select_states,
)
from push_blaster.adapters.delivery.delivery_report import keep_counts
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_table import end_execution
from push_blaster.adapters.executions.execution_view import NewerExecutionError, select_execution
from push_blaster.domain.automations.automation import InDoubtPolicy
from push_blaster.domain.delivery.message import Message, Outcome
from push_blaster.domain.delivery.rate_limit import messages_a_turn, rest_after
from push_blaster.domain.delivery.retry import Tried
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.modes import delivers, goes_to_audience, is_dry
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.safeguards import (
    Severity,
    Violation,
    ViolationType,
    exceeds_failure_rate,
)
from push_blaster.use_cases.cadence.ask_cadence import HeldSlots
from push_blaster.use_cases.cadence.track_sends import track_page, track_so_far
from push_blaster.use_cases.context import (
    SendContext,
    StepContext,
    StepFailedError,
    StepStoppedError,
    fit_to_mode,
    report,
    watch_for_stop,
)
from push_blaster.use_cases.delivery.choose_receivers import Standing, choose_receivers
from push_blaster.use_cases.delivery.personalise import personalise
from push_blaster.use_cases.delivery.send_messages import (
    Leftovers,
    SendTask,
    leave_in_doubt,
    leave_unreachable,
    send_messages,
)

log = structlog.get_logger()

#: Unexpected errors of one batch after which the whole execution is given up.
MAX_FAILURES: Final = 5
#: When cadence is told again of what it could not be told.
TELL_AGAIN: Final = timedelta(minutes=1)


def send_batch(context: SendContext, execution_id: str, position: int, number: int) -> None:
    """Send one batch, or what an earlier attempt left of it; safe to repeat."""
    taken = _take(context, (execution_id, position, number))
    if taken is None:
        return
    batch, execution = taken
    try:
        _send(fit_to_mode(context, execution.mode), execution, batch)
    except StepStoppedError as stopped:
        log.info("batch_given_up", execution=execution_id, batch=number, reason=str(stopped))
    except DatabaseAwayError:
        raise
    except StepFailedError as failure:
        _give_up(context, execution, batch, failure)
    except Exception as error:
        log.exception("batch_crashed", execution=execution_id, batch=number)
        _count_failure(context, execution, batch, error)


def _take(context: SendContext, key: tuple[str, int, int]) -> tuple[TakenBatch, Execution] | None:
    try:
        with context.database.transaction() as connection:
            batch = take_batch(connection, key, context.engine_id)
            return (batch, select_execution(connection, key[0])) if batch else None
    except NewerExecutionError as newer:
        log.info("left_to_a_newer_engine", reason=str(newer))
        return None


def _send(context: SendContext, execution: Execution, batch: TakenBatch) -> None:
    page = LedgerPage(execution.id, batch.position, is_test=False, batch=batch.number)
    in_doubt = execution.automation.settings.in_doubt
    resend = in_doubt is InDoubtPolicy.RESEND or not delivers(execution.mode)
    standing, left = _read_page(context, batch, page)
    if not resend:
        reason = "its send began before a crash; the policy is to skip"
        leave_in_doubt(context, page, left.in_doubt, reason)
        left = replace(left, in_doubt=frozenset())
    begun_at = context.clock()
    messages, keys = _prepare(context, execution, batch, standing, left)
    messages, rests_until = _take_turn(execution, messages, begun_at)

    def may_send(connection: Connection) -> bool:
        return keep_batch(connection, batch, context.clock())

    should_stop = watch_for_stop(context, may_send, every_s=0.5)
    task = SendTask(
        page=page,
        may_send=may_send,
        should_stop=should_stop,
        resend_in_doubt=resend,
        keep_slots=HeldSlots(context, execution, keys, is_new=standing.is_first).keep,
        tally=lambda outcomes: _tally(context.database, execution, batch, outcomes),
        left=left,
    )
    try:
        send_messages(context, task, messages)
    except BaseException:
        track_so_far(context, execution, page)
        raise
    if rests_until:
        _rest(context.database, batch, rests_until)
    else:
        _finish(context, execution, batch, page)


def _take_turn(
    execution: Execution, messages: list[Message], now: datetime
) -> tuple[list[Message], datetime | None]:
    """Return the messages that may go now, and until when the batch rests after them, if it does.

    An automation with a rate of its own keeps no worker waiting for it.
    """
    rate = execution.automation.settings.rate_per_minute
    if rate is None or not messages or not delivers(execution.mode):
        return messages, None
    turn = messages[: messages_a_turn(rate)]
    return turn, now + rest_after(rate, len(turn))


def _read_page(
    context: StepContext, batch: TakenBatch, page: LedgerPage
) -> tuple[Standing, Leftovers]:
    """Return how users stand, and whom earlier attempts left open."""
    with context.database.transaction() as connection:
        states = select_states(connection, page)
        deferred = select_deferred(connection, page) if "deferred" in states.values() else {}
        held_until = select_held(connection, page) if states else {}
    now = context.clock()
    due = {user_id: tried for user_id, (tried, due_at) in deferred.items() if due_at <= now}
    untried = frozenset(user_id for user_id, tried in due.items() if not tried.times)
    left = Leftovers(
        in_doubt=frozenset(user_id for user_id, state in states.items() if state == "claimed"),
        deferred=due | dict.fromkeys(untried, Tried(0, now)),
    )
    is_first = batch.fence == 1
    standing = Standing(states=states, held_until=held_until, due=untried, is_first=is_first)
    return standing, left


def _rest(database: Database, batch: TakenBatch, until: datetime) -> None:
    with database.transaction() as connection:
        put_off_batch(connection, batch, until, rests=True)


def _finish(
    context: SendContext, execution: Execution, batch: TakenBatch, page: LedgerPage
) -> None:
    """Put the batch off until the first of its deferred messages is due, or end it."""
    with context.database.transaction() as connection:
        deferred = select_deferred(connection, page)
    if deferred:
        _put_off(context, execution, batch, page, deferred.values())
        return
    is_told = track_page(context, execution, page)
    now = context.clock()
    with context.database.transaction() as connection:
        finish_batch(connection, batch, now, tracked_at=now if is_told else None)
        keep_counts(connection, page)


def _put_off(
    context: SendContext,
    execution: Execution,
    batch: TakenBatch,
    page: LedgerPage,
    deferred: Collection[tuple[Tried, datetime]],
) -> None:
    """Put the batch off; if users are held for longer than slots are, who was sent to is told now.

    What cadence cannot be told is tried again soon, with the batch.
    """
    due_at = min(due_at for _, due_at in deferred)
    is_held = any(not tried.times for tried, _ in deferred)
    if is_held and not track_so_far(context, execution, page):
        due_at = min(due_at, context.clock() + TELL_AGAIN)
    with context.database.transaction() as connection:
        put_off_batch(connection, batch, due_at, rests=False)


def _prepare(
    context: SendContext,
    execution: Execution,
    batch: TakenBatch,
    standing: Standing,
    left: Leftovers,
) -> tuple[list[Message], set[str]]:
    """Return the messages still to be sent, writing down who gets none and why.

    With them the keys of the reservations that hold their slots.
    """
    audience = execution.pushes[batch.position - 1].audience
    if audience is None:
        raise StepFailedError(f"Push {batch.position} has no audience.")
    rows = read_batch(context.data_folder / audience.file, batch.offset, batch.rows)
    page = LedgerPage(execution.id, batch.position, is_test=False, batch=batch.number)
    receivers, standing = choose_receivers(context, execution, page, rows, standing)
    begun = (left.in_doubt | left.deferred.keys()) - standing.due
    again = [row for row in rows if row.user_id in begun]
    push = execution.automation.pushes[batch.position - 1]
    push = push if goes_to_audience(execution.mode) else push.worded(None)
    personal = personalise(context, execution, push, [*again, *receivers])
    leave_unreachable(context, page, left, personal.refusals)
    turns = {standing.held_until.get(message.user_id) for message in personal.messages}
    return personal.messages, {reservation_key(page, turn) for turn in turns}


def _tally(
    database: Database, execution: Execution, batch: TakenBatch, outcomes: Counter[Outcome]
) -> None:
    """Count the outcomes, and end the execution if too many messages of the push fail."""
    limit = execution.automation.settings.failure_rate
    if limit is None or is_dry(execution.mode):
        return
    with database.transaction() as connection:
        sent, failed = add_to_tally(
            connection, batch, outcomes[Outcome.SENT], outcomes[Outcome.FAILED]
        )
    if exceeds_failure_rate(sent, failed, limit):
        text = (
            f"Push {batch.position} was stopped: {failed} of {sent + failed} messages failed, more "
            f"than the {limit:.0%} of safeguards.alertThresholds.failureRate."
        )
        raise StepFailedError(
            text,
            Violation(
                ViolationType.FAILURE_RATE_EXCEEDED,
                Severity.CRITICAL,
                text,
                {"sent": sent, "failed": failed, "limit": limit},
                batch.position,
            ),
        )


def _count_failure(
    context: StepContext, execution: Execution, batch: TakenBatch, error: Exception
) -> None:
    with context.database.transaction() as connection:
        failures = count_failure(connection, batch)
        text = f"Batch {batch.number} of push {batch.position}, attempt {failures}: {error}"
        stage, now = Phase.LIVE_EXECUTION, context.clock()
        append_log(connection, batch.execution_id, stage, text, now, LogLevel.WARNING)
    if failures >= MAX_FAILURES:
        text = f"Push {batch.position} failed {failures} times: {error}"
        _give_up(context, execution, batch, StepFailedError(text))


def _give_up(
    context: StepContext, execution: Execution, batch: TakenBatch, failure: StepFailedError
) -> None:
    if failure.violation:
        report(context, execution, failure.violation)
    reason, now = str(failure), context.clock()
    end = (Phase.FAILED, reason)
    with context.database.transaction() as connection:
        if end_execution(connection, batch.execution_id, {Phase.LIVE_EXECUTION}, end, now):
            append_log(connection, batch.execution_id, Phase.FAILED, reason, now, LogLevel.ERROR)
