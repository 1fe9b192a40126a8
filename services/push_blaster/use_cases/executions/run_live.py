"""The short steps: begin, go live, start and watch a push, complete."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chassis.postgres import Connection
from push_blaster.adapters.audiences.frozen_audiences import index_batches, verify
from push_blaster.adapters.delivery.batch_table import count_open_batches, insert_batches
from push_blaster.adapters.delivery.delivery_report import select_reasons
from push_blaster.adapters.executions.decision_table import open_decision
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_table import FencedError, holds_execution
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.audiences.audience import Batch
from push_blaster.domain.automations.experiment import name_draw
from push_blaster.domain.cadence.names import count_by_rule
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.user_time import stop_limit
from push_blaster.domain.executions.decision import PushDecision
from push_blaster.domain.executions.execution import (
    Execution,
    LogLevel,
    PushAudience,
    PushProgress,
    PushStatus,
)
from push_blaster.domain.executions.funnel import Funnel, Group
from push_blaster.domain.executions.modes import Mode, next_phase
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.safeguards import Severity, Violation, ViolationType
from push_blaster.domain.executions.timeline import find_current_push, plan_execution
from push_blaster.use_cases.context import SendContext, StepContext, StepFailedError, note
from push_blaster.use_cases.executions.approve_execution import find_missing_approval


def begin(_: StepContext, execution: Execution) -> Execution:
    """Leave the queue."""
    return replace(execution, phase=next_phase(execution.mode, Phase.WAITING))


def go_live(context: SendContext, execution: Execution) -> Execution:
    """End the window, and decide when each push goes out."""
    missing = find_missing_approval(context, execution)
    if missing:
        return replace(execution, phase=Phase.SKIPPED, reason=missing)
    live_at = execution.live_at or execution.slot
    planned = plan_execution(execution, live_at)
    pushes = tuple(
        replace(push, due_at=due_at) for push, due_at in zip(execution.pushes, planned, strict=True)
    )
    return replace(execution, phase=Phase.LIVE_EXECUTION, pushes=pushes)


def start_push(context: StepContext, execution: Execution) -> Execution:
    """Insert the batches of the next push; workers send them."""
    push = _current(execution)
    batches = find_batches(context, push)
    with context.database.transaction() as connection:
        if not holds_execution(connection, execution):
            raise FencedError("stopped before the push began")
        now = context.clock()
        text = push.announcement + _begin_experiment(connection, execution, push, now)
        insert_batches(connection, execution.id, push.position, batches)
        append_log(connection, execution.id, Phase.LIVE_EXECUTION, text, now)
    return execution.with_push(replace(push, status=PushStatus.SENDING, started_at=now))


def _begin_experiment(
    connection: Connection, execution: Execution, push: PushProgress, now: datetime
) -> str:
    """Fix who tests the variants of a push, if it is an experiment; return what the log adds."""
    experiment = execution.automation.pushes[push.position - 1].experiment
    if experiment is None:
        return ""
    if execution.mode is not Mode.LIVE:
        return " Only a live send tests the variants first: every user gets a variant at once."
    decision = PushDecision(
        draw=name_draw(execution.slot), decides_at=now + experiment.decide_after
    )
    open_decision(connection, execution.id, push.position, decision, execution.resumes)
    return f" {experiment.test_percent:g} % of the users test its variants; the others wait."


def find_batches(context: StepContext, push: PushProgress) -> list[Batch]:
    """Return the batches of the push's audience; StepFailedError unless it is as it was frozen."""
    audience = _audience(push)
    path = context.data_folder / audience.file
    if not verify(path, audience.sha256):
        raise StepFailedError(
            f"The frozen audience {audience.file} of push {push.position} has changed or is gone; "
            "what was tested is no longer what would be sent. Start a new execution."
        )
    return index_batches(path, context.limits.batch_size)


def watch_push(context: StepContext, execution: Execution) -> Execution:
    """End the push when all its batches are done."""
    push = _current(execution)
    with context.database.transaction() as connection:
        if count_open_batches(connection, execution.id, push.position):
            return _still_in_time(context, execution, push)
        funnel = select_funnels(connection, [execution.id])[execution.id][push.position]
        status = PushStatus.FAILED if _reached_nobody(funnel) else PushStatus.SENT
        page = LedgerPage(execution.id, push.position, is_test=False)
        is_failed = status is PushStatus.FAILED
        reasons = select_reasons(connection, page) if is_failed else []
    _note_end(context, execution, push, funnel, status, reasons)
    return execution.with_push(replace(push, status=status, ended_at=context.clock()))


def _still_in_time(context: StepContext, execution: Execution, push: PushProgress) -> Execution:
    limit = find_limit(context, execution, push)
    # A clock that somebody set meanwhile makes no send longer.
    if push.started_at is None or context.clock() - context.shift(push.started_at) <= limit:
        return execution
    text = (
        f"Push {push.position} was stopped: it had not gone out within "
        f"{limit.total_seconds() / 60:g} minutes (PUSH_TIME_LIMIT_SECONDS)."
    )
    kind = ViolationType.EXECUTION_TIMEOUT
    violation = Violation(kind, Severity.CRITICAL, text, {}, push.position)
    raise StepFailedError(text, violation)


def find_limit(context: StepContext, execution: Execution, push: PushProgress) -> timedelta:
    """Return how long a push may take before it is stopped."""
    decide_after = execution.sequence[push.position - 1].decide_after
    limit = context.limits.push_time_limit
    return stop_limit(execution.automation.settings, limit, decide_after)


def complete(_: StepContext, execution: Execution) -> Execution:
    """End the execution; it has failed if all messages of a push failed."""
    failed = [push.position for push in execution.pushes if push.status is PushStatus.FAILED]
    if failed:
        names = ", ".join(str(position) for position in failed)
        return replace(
            execution,
            phase=Phase.FAILED,
            reason=f"No message of push {names} was delivered; the log says why.",
        )
    return replace(execution, phase=Phase.COMPLETED)


def _note_end(
    context: StepContext,
    execution: Execution,
    push: PushProgress,
    funnel: Funnel,
    status: PushStatus,
    reasons: Sequence[str],
) -> None:
    text = f"Push {push.position}: {funnel.describe()}."
    if funnel.sent_before:
        text += f" The stopped execution had sent to {funnel.sent_before} of them."
    left_out = funnel.list_counts(Group.LEFT_OUT)
    if left_out:
        text += f" Left out: {', '.join(map(str, left_out))}."
    if funnel.exclusion_breakdown:
        text += f" Capped by cadence ({count_by_rule(funnel.exclusion_breakdown)})."
    if reasons:
        text += f" Nobody was reached: {'; '.join(reasons)}."
    level = LogLevel.ERROR if status is PushStatus.FAILED else LogLevel.SUCCESS
    note(context, execution.id, Phase.LIVE_EXECUTION, text, level)


def _reached_nobody(funnel: Funnel) -> bool:
    """Return whether a push failed for all its users; capped users do not count as failed."""
    if funnel.sent or funnel.in_doubt or funnel.would_send:
        return False
    return bool(funnel.with_token or (funnel.eligible and not funnel.excluded))


def _current(execution: Execution) -> PushProgress:
    push = find_current_push(execution.pushes)
    if push is None:
        raise StepFailedError("There is no push left to send.")
    return push


def _audience(push: PushProgress) -> PushAudience:
    if push.audience is None:
        raise StepFailedError(f"Push {push.position} has no audience.")
    return push.audience
