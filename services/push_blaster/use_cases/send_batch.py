"""Send one batch of a push: ask cadence, find tokens, personalise, send, settle, track."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

import structlog

from chassis.postgres import Connection, DatabaseAwayError
from push_blaster.adapters.batch_table import (
    TakenBatch,
    add_to_tally,
    count_failure,
    finish_batch,
    keep_batch,
    put_off_batch,
    take_batch,
)
from push_blaster.adapters.delivery_ledger import (
    LedgerPage,
    Refusal,
    insert_refusals,
    select_deferred,
    select_states,
)
from push_blaster.adapters.execution_log import append_log
from push_blaster.adapters.execution_table import end_execution
from push_blaster.adapters.execution_view import NewerExecutionError, select_execution
from push_blaster.adapters.frozen_audiences import AudienceRow, read_batch
from push_blaster.domain.automation import InDoubtPolicy
from push_blaster.domain.execution import Execution, LogLevel
from push_blaster.domain.message import Message, Outcome
from push_blaster.domain.modes import delivers, goes_to_audience
from push_blaster.domain.phase import Phase
from push_blaster.domain.safeguards import (
    Severity,
    Violation,
    ViolationType,
    exceeds_failure_rate,
)
from push_blaster.use_cases.ask_cadence import HeldSlots, ask_cadence
from push_blaster.use_cases.hold_out import find_held_out
from push_blaster.use_cases.parts import (
    Parts,
    StepFailedError,
    StepStoppedError,
    fit_to_mode,
    report,
    watch_for_stop,
)
from push_blaster.use_cases.personalise import personalise
from push_blaster.use_cases.send_messages import (
    Leftovers,
    SendTask,
    leave_in_doubt,
    send_messages,
)
from push_blaster.use_cases.track_sends import track_page, track_so_far

log = structlog.get_logger()

#: Unexpected errors of one batch after which the whole execution is given up.
MAX_FAILURES: Final = 5


def send_batch(parts: Parts, execution_id: str, position: int, number: int) -> None:
    """Send one batch, or what an earlier attempt left of it; safe to repeat."""
    taken = _take(parts, (execution_id, position, number))
    if taken is None:
        return
    batch, execution = taken
    try:
        _send(fit_to_mode(parts, execution.mode), execution, batch)
    except StepStoppedError as stopped:
        log.info("batch_given_up", execution=execution_id, batch=number, reason=str(stopped))
    except DatabaseAwayError:
        raise
    except StepFailedError as failure:
        _give_up(parts, execution, batch, failure)
    except Exception as error:
        log.exception("batch_crashed", execution=execution_id, batch=number)
        _count_failure(parts, execution, batch, error)


def _take(parts: Parts, key: tuple[str, int, int]) -> tuple[TakenBatch, Execution] | None:
    try:
        with parts.database.transaction() as connection:
            batch = take_batch(connection, key, parts.engine_id)
            return (batch, select_execution(connection, key[0])) if batch else None
    except NewerExecutionError as newer:
        log.info("left_to_a_newer_engine", reason=str(newer))
        return None


def _send(parts: Parts, execution: Execution, batch: TakenBatch) -> None:
    page = LedgerPage(execution.id, batch.position, is_test=False, batch=batch.number)
    in_doubt = execution.automation.settings.in_doubt
    resend = in_doubt is InDoubtPolicy.RESEND or not delivers(execution.mode)
    states, left = _read_page(parts, page)
    if not resend:
        reason = "its send began before a crash; the policy is to skip"
        leave_in_doubt(parts, page, left.in_doubt, reason)
        left = replace(left, in_doubt=frozenset())
    messages = _prepare(parts, execution, batch, states, left)

    def may_send(connection: Connection) -> bool:
        return keep_batch(connection, batch, parts.clock())

    task = SendTask(
        page=page,
        may_send=may_send,
        should_stop=watch_for_stop(parts, may_send, every_s=0.5),
        resend_in_doubt=resend,
        keep_slots=HeldSlots(parts, execution, page).keep,
        tally=lambda outcomes: _tally(parts, execution, batch, outcomes),
        left=left,
    )
    try:
        send_messages(parts, task, messages)
    except BaseException:
        track_so_far(parts, execution, page)
        raise
    _finish(parts, execution, batch, page)


def _read_page(parts: Parts, page: LedgerPage) -> tuple[Mapping[UUID, str], Leftovers]:
    """Return the state of each user who has one, and whom earlier attempts left open."""
    with parts.database.transaction() as connection:
        states = select_states(connection, page)
        deferred = select_deferred(connection, page) if "deferred" in states.values() else {}
    now = parts.clock()
    return states, Leftovers(
        in_doubt=frozenset(user_id for user_id, state in states.items() if state == "claimed"),
        deferred={user: tried for user, (tried, due_at) in deferred.items() if due_at <= now},
    )


def _finish(parts: Parts, execution: Execution, batch: TakenBatch, page: LedgerPage) -> None:
    """Put the batch off until the first of its deferred messages is due, or end it."""
    with parts.database.transaction() as connection:
        deferred = select_deferred(connection, page)
        if deferred:
            put_off_batch(connection, batch, min(due_at for _, due_at in deferred.values()))
            return
    is_told = track_page(parts, execution, page)
    now = parts.clock()
    with parts.database.transaction() as connection:
        finish_batch(connection, batch, now, tracked_at=now if is_told else None)


def _prepare(
    parts: Parts,
    execution: Execution,
    batch: TakenBatch,
    states: Mapping[UUID, str],
    left: Leftovers,
) -> list[Message]:
    """Return the messages still to be sent, writing down who gets none and why."""
    audience = execution.pushes[batch.position - 1].audience
    if audience is None:
        raise StepFailedError(f"Push {batch.position} has no audience.")
    rows = read_batch(parts.data_folder / audience.file, batch.offset, batch.rows)
    page = LedgerPage(execution.id, batch.position, is_test=False, batch=batch.number)
    held_out = find_held_out(parts.limits, execution, rows, states)
    asked = [row for row in rows if row.user_id not in held_out]
    eligible, held_back = _filter(parts, execution, page, asked, states)
    again = [row for row in rows if row.user_id in left.in_doubt or row.user_id in left.deferred]
    push = execution.automation.pushes[batch.position - 1]
    push = push if goes_to_audience(execution.mode) else push.worded(None)
    personal = personalise(parts, execution, push, [*again, *eligible])
    refusals = [*held_out.values(), *held_back, *personal.refusals]
    with parts.database.transaction() as connection:
        insert_refusals(connection, page, refusals, parts.clock())
    return personal.messages


def _filter(
    parts: Parts,
    execution: Execution,
    page: LedgerPage,
    rows: list[AudienceRow],
    states: Mapping[UUID, str],
) -> tuple[list[AudienceRow], list[Refusal]]:
    """Return who may be sent to of those without a state, and who is held back by which rule.

    The question is always the whole batch but those held out, so that a second attempt gets the
    verdict of the first.
    """
    fresh = [row for row in rows if row.user_id not in states]
    if not fresh:
        return [], []
    verdict = ask_cadence(parts, execution, page, [row.user_id for row in rows])
    eligible = [row for row in fresh if row.user_id in verdict.eligible]
    held_back = [
        Refusal(row.user_id, "held_back", verdict.held_back.get(row.user_id, "cadence"))
        for row in fresh
        if row.user_id not in verdict.eligible
    ]
    return eligible, held_back


def _tally(
    parts: Parts, execution: Execution, batch: TakenBatch, outcomes: Counter[Outcome]
) -> None:
    """Count the outcomes, and end the execution if too many messages of the push fail."""
    limit = execution.automation.settings.failure_rate
    if limit is None or not delivers(execution.mode):
        return
    with parts.database.transaction() as connection:
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


def _count_failure(parts: Parts, execution: Execution, batch: TakenBatch, error: Exception) -> None:
    with parts.database.transaction() as connection:
        failures = count_failure(connection, batch)
        text = f"Batch {batch.number} of push {batch.position}, attempt {failures}: {error}"
        stage, now = Phase.LIVE_EXECUTION, parts.clock()
        append_log(connection, batch.execution_id, stage, text, now, LogLevel.WARNING)
    if failures >= MAX_FAILURES:
        text = f"Push {batch.position} failed {failures} times: {error}"
        _give_up(parts, execution, batch, StepFailedError(text))


def _give_up(
    parts: Parts, execution: Execution, batch: TakenBatch, failure: StepFailedError
) -> None:
    if failure.violation:
        report(parts, execution, failure.violation)
    reason, now = str(failure), parts.clock()
    end = (Phase.FAILED, reason)
    with parts.database.transaction() as connection:
        if end_execution(connection, batch.execution_id, {Phase.LIVE_EXECUTION}, end, now):
            append_log(connection, batch.execution_id, Phase.FAILED, reason, now, LogLevel.ERROR)
