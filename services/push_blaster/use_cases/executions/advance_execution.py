"""Move one execution forward: by the step that is due, and by the short steps after it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from chassis.postgres import Connection, DatabaseAwayError
from push_blaster.adapters.delivery.batch_table import select_rest
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_table import (
    FencedError,
    begin_attempt,
    save_execution,
    take_execution,
)
from push_blaster.adapters.executions.execution_view import NewerExecutionError
from push_blaster.adapters.operations.engine_table import BEATS_WITHIN, select_life_signs
from push_blaster.adapters.operations.shortages import check_supplies, find_shortage
from push_blaster.domain.error_words import explain_error
from push_blaster.domain.executions.execution import Execution, LogLevel, PushStatus
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import PREPARING, Phase
from push_blaster.domain.executions.timeline import (
    REST_INTERVAL,
    WATCH_INTERVAL,
    Step,
    find_current_push,
    find_due_step,
)
from push_blaster.domain.schedule.schedule import latest_start
from push_blaster.use_cases.context import (
    SendContext,
    StepContext,
    StepFailedError,
    StepStoppedError,
    fit_to_mode,
    note,
    report,
    report_shortage,
)
from push_blaster.use_cases.executions.generate_audience import generate_audience
from push_blaster.use_cases.executions.run_live import (
    begin,
    complete,
    find_limit,
    go_live,
    start_push,
    watch_push,
)
from push_blaster.use_cases.executions.send_test import send_test

log = structlog.get_logger()

RunStep = Callable[[SendContext, Execution], Execution]

STEPS: Final[Mapping[Step, RunStep]] = {
    Step.BEGIN: begin,
    Step.GENERATE_AUDIENCE: generate_audience,
    Step.SEND_TEST: send_test,
    Step.GO_LIVE: go_live,
    Step.START_PUSH: start_push,
    Step.WATCH_PUSH: watch_push,
    Step.COMPLETE: complete,
}

#: The steps that are taken at once after another step.
SHORT_STEPS: Final = frozenset({Step.START_PUSH, Step.COMPLETE})

#: How long a step waits for what its engine is short of, before it is tried again.
SHORTAGE_PAUSE: Final = timedelta(seconds=15)

#: Unexpected errors in a row after which an execution is given up.
MAX_FAILURES: Final = 3


def advance_execution(context: SendContext, execution_id: str) -> bool:
    """Run the step that is due and save its result; then the short steps that follow at once.

    Returns whether a step was due. A step that is killed runs again from its beginning: each is
    safe to repeat.
    """
    try:
        taken = _take(context, execution_id)
    except NewerExecutionError as newer:
        log.info("left_to_a_newer_engine", reason=str(newer))
        return False
    if taken is None:
        return False
    execution, step = taken
    if execution.attempt:
        _announce_repetition(context, execution, step)
    try:
        _walk(context, execution, step)
    except (StepStoppedError, FencedError) as stopped:
        log.info("step_given_up", execution=execution_id, step=step, reason=str(stopped))
    return True


def _walk(context: SendContext, execution: Execution, first: Step | None) -> None:
    """Run the step, and the short steps that follow at once; save what each of them results in.

    Going live and starting the first push are written together: fewer statements at T.
    """
    saved, step = execution, first
    while step:
        execution = _run(context, execution, step)
        following = _find_short_step(execution, step, context.clock())
        if not (step is Step.GO_LIVE and following):
            _save(context, saved, execution)
            saved = execution
        step = following


def _take(context: SendContext, execution_id: str) -> tuple[Execution, Step | None] | None:
    """Take the execution, and begin the step that is due; None if no step is."""
    with context.database.transaction() as connection:
        execution = take_execution(connection, execution_id)
        step = find_due_step(execution, context.clock()) if execution else None
        if execution is None or step is None:
            return None
        begin_attempt(connection, execution, context.engine_id)
    return execution, step


def _find_short_step(execution: Execution, done: Step, now: datetime) -> Step | None:
    """Return the step that follows at once and takes no time, so that no other worker is needed."""
    following = find_due_step(execution, now)
    is_short = following in SHORT_STEPS and following is not done and not execution.failures
    return following if is_short else None


def _announce_repetition(context: SendContext, execution: Execution, step: Step | None) -> None:
    """Log that the step begins again, and how the attempt before ended."""
    before, engine = execution.attempt, execution.attempt_by
    with context.database.transaction() as connection:
        _, lives = select_life_signs(connection, BEATS_WITHIN).get(engine or "", (None, False))
    ended = f"attempt {before} was interrupted"
    if not lives:
        ended = f"the engine that ran attempt {before} is gone"
    text = f"Attempt {before + 1} of the step {step}: {ended} ({engine})."
    log.warning("step_repeated", step=step, attempt=before + 1, engine_before=engine, lives=lives)
    note(context, execution.id, execution.phase, text, LogLevel.WARNING)


def _run(context: SendContext, execution: Execution, step: Step) -> Execution:
    try:
        if execution.phase in PREPARING:
            check_supplies(context.data_folder, context.limits.min_free_mb)
        fitting = fit_to_mode(context, execution.mode)
        return replace(STEPS[step](fitting, execution), failures=0, waits_for=None)
    except StepFailedError as failure:
        return _end_or_wait(context, execution, failure)
    except (StepStoppedError, FencedError, DatabaseAwayError):
        raise
    except Exception as error:
        log.exception("step_crashed", execution=execution.id, step=step)
        return _try_again(context, execution, step, error)


def _try_again(
    context: StepContext, execution: Execution, step: Step, error: Exception
) -> Execution:
    """Return the execution after an unexpected error: it waits, is tried again, or is given up."""
    shortage = find_shortage(error)
    if shortage:
        return _wait_for(context, execution, shortage)
    if execution.failures + 1 >= MAX_FAILURES:
        reason = f"The step {step} failed {MAX_FAILURES} times: {explain_error(error)}"
        return _failed(execution, reason, context.clock())
    text = f"The step {step} failed, and begins again: {explain_error(error)}"
    note(context, execution.id, execution.phase, text, LogLevel.WARNING)
    return replace(execution, failures=execution.failures + 1)


def _end_or_wait(context: StepContext, execution: Execution, failure: StepFailedError) -> Execution:
    """Return the execution as failed; or as waiting, if its engine let the script down."""
    shortage = find_shortage(failure)
    if shortage:
        return _wait_for(context, execution, shortage)
    if failure.violation:
        report(context, execution, failure.violation)
    return _failed(execution, str(failure), context.clock())


def _wait_for(context: StepContext, execution: Execution, shortage: str) -> Execution:
    """Return the execution as it waits for what its engine is short of; or failed, if too late."""
    (until, settings), now = _find_wait_limit(context, execution), context.clock()
    if now <= until:
        report_shortage(context, execution, shortage, until)
        return replace(execution, waits_for=shortage)
    reason = (
        f"The execution waited until {until:%Y-%m-%d %H:%M:%S} UTC, and may not send later "
        f"({settings}). {shortage} To send it all the same, start the automation by hand."
    )
    return replace(_failed(execution, reason, now), waits_for=None)


def _find_wait_limit(context: StepContext, execution: Execution) -> tuple[datetime, str]:
    """Return how late the next messages may go out, and the settings that say so.

    A push that begins late may begin as late as a slot that no engine opened in time.
    """
    push = find_current_push(execution.pushes)
    if push and push.started_at:
        limit = find_limit(context, execution, push)
        return context.shift(push.started_at) + limit, "PUSH_TIME_LIMIT_SECONDS"
    planned = (push and push.due_at) or execution.live_at or execution.slot
    until = latest_start(execution.automation.schedule, planned)
    return until, "schedule.missedRunPolicy, schedule.graceMinutes"


def _save(context: StepContext, before: Execution, after: Execution) -> None:
    now = context.clock()
    with context.database.transaction() as connection:
        again_at = _watch_again(connection, after, now) if _is_waiting(after) else None
        save_execution(connection, before, after, now, due_at=again_at)
        if after.phase is not before.phase:
            level = LogLevel.ERROR if after.phase is Phase.FAILED else LogLevel.INFO
            append_log(connection, before.id, after.phase, _announce(after), now, level)


def _watch_again(connection: Connection, execution: Execution, now: datetime) -> datetime:
    """Return when to look again: soon, or later while all open batches are deferred."""
    if execution.waits_for:
        return now + SHORTAGE_PAUSE
    rest = select_rest(connection, execution.id, now)
    return min(max(now + WATCH_INTERVAL, rest), now + REST_INTERVAL)


_COMPLETED: Final[Mapping[Mode, str]] = {
    Mode.TEST_LIVE_SEND: "The test has gone out; nobody else was sent to.",
    Mode.TEST_DRY_RUN: "The test was tried out; nothing was sent.",
    Mode.REAL_DRY_RUN: "All pushes were tried out; nothing was sent.",
    Mode.SIMULATION: "Simulated to the end; nothing has left the machine.",
    Mode.TEST_SCHEDULED_SEND: "All pushes have gone out, to the test users only.",
}


def _announce(execution: Execution) -> str:
    if execution.reason:
        return execution.reason
    if execution.phase is Phase.CANCELLATION_WINDOW and execution.live_at:
        live_at = execution.live_at.isoformat(timespec="seconds")
        return f"The cancellation window is open; live at {live_at}."
    if execution.phase is Phase.COMPLETED:
        return _COMPLETED.get(execution.mode, "All pushes have gone out.")
    return execution.phase.announcement


def _is_waiting(execution: Execution) -> bool:
    is_sending = any(push.status is PushStatus.SENDING for push in execution.pushes)
    return is_sending or execution.failures > 0 or execution.waits_for is not None


def _failed(execution: Execution, reason: str, now: datetime) -> Execution:
    pushes = tuple(
        push if push.ended_at else replace(push, status=PushStatus.FAILED, ended_at=now)
        for push in execution.pushes
    )
    return replace(execution, phase=Phase.FAILED, reason=reason, pushes=pushes)
