"""Send every push to the test users first, with the variables of a real row."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from push_blaster.adapters.delivery.delivery_ledger import select_deferred, select_states
from push_blaster.adapters.delivery.delivery_report import select_reasons
from push_blaster.adapters.delivery.tester_table import insert_testers, select_tester_names
from push_blaster.adapters.executions.execution_table import holds_execution
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.delivery.ledger import LedgerPage, LedgerState
from push_blaster.domain.delivery.message import Message, TransportUnavailableError
from push_blaster.domain.executions.execution import (
    Execution,
    LogLevel,
    PushProgress,
    PushStatus,
    Trigger,
)
from push_blaster.domain.executions.modes import delivers, is_test_only, next_phase, walks_as_live
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.timeline import live_instant
from push_blaster.use_cases.audiences.find_test_users import find_test_rows
from push_blaster.use_cases.cadence.track_sends import track_page
from push_blaster.use_cases.context import (
    SendContext,
    StepContext,
    StepFailedError,
    note,
    watch_for_stop,
)
from push_blaster.use_cases.delivery.find_opted_out import find_opted_out
from push_blaster.use_cases.delivery.mark_dead_devices import judge_devices
from push_blaster.use_cases.delivery.personalise import personalise
from push_blaster.use_cases.delivery.record_outcomes import settle_from_journals
from push_blaster.use_cases.delivery.send_messages import (
    SendTask,
    Unfinished,
    leave_unreachable,
    ledger_outlet,
    read_states,
    send_messages,
)
from push_blaster.use_cases.executions.check_safeguards import find_approval_reason

#: The states of a test user who has the message, or would have it if messages were delivered.
_REACHED: Final = frozenset({LedgerState.SENT, LedgerState.DRY_RUN})
_OPEN: Final = frozenset({LedgerState.CLAIMED, LedgerState.DEFERRED})
#: How often a test that waits for the provider checks whether it was stopped.
LOOK_S: Final = 0.1
_OR_DO_WITHOUT: Final = ", or require no test (settings.safeguards.requireTestFirst)."


def send_test(context: SendContext, execution: Execution) -> Execution:
    """Send the tests, and open the cancellation window; live is at T, or a whole window later.

    Raises: StepFailedError if a test is required and reached nobody.
    """
    settings = execution.automation.settings
    pushes = execution.pushes
    if settings.dry_run_first or _is_required(execution):
        pushes = tuple(_test_push(context, execution, progress) for progress in pushes)
    following = next_phase(execution.mode, Phase.TEST_SENDING)
    if following is not Phase.CANCELLATION_WINDOW:
        return replace(execution, phase=following, pushes=pushes)
    live_at = live_instant(execution.slot, context.clock(), _window(context, execution))
    return replace(
        execution,
        phase=following,
        live_at=live_at,
        pushes=pushes,
        approval_reason=find_approval_reason(context, execution),
    )


def _window(context: StepContext, execution: Execution) -> timedelta:
    own, minimum = execution.automation.settings.cancellation_window, context.limits.min_window
    is_free = not walks_as_live(execution.mode) or execution.trigger is Trigger.AD_HOC
    if own >= minimum or is_free:
        return own
    text = (
        f"The cancellation window takes {minimum.total_seconds():g} s instead of "
        f"{own.total_seconds():g} s (PUSH_MIN_CANCELLATION_WINDOW_SECONDS)."
    )
    note(context, execution.id, Phase.TEST_SENDING, text, LogLevel.WARNING)
    return minimum


def _is_required(execution: Execution) -> bool:
    return execution.automation.settings.require_test_first or is_test_only(execution.mode)


def _test_push(context: SendContext, execution: Execution, progress: PushProgress) -> PushProgress:
    audience = progress.audience
    if audience is None:
        raise StepFailedError(f"Push {progress.position} has no audience.")
    page = LedgerPage(execution.id, progress.position, is_test=True)
    rows = find_test_rows(
        context, execution, progress.position, context.data_folder / audience.file
    )
    tested = _send_tests(context, execution, page, rows)
    if tested.reached:
        done = "sent to" if delivers(execution.mode) else "tried out for"
        text = f"Push {progress.position}: test {done} {', '.join(tested.reached)}.{tested.text}"
        note(context, execution.id, Phase.TEST_SENDING, text, LogLevel.SUCCESS)
        _report_missed(context, execution, page, tested.missed)
        return replace(progress, status=PushStatus.TEST_SENT)
    _report_silence(context, execution, page, tried=bool(rows))
    return progress


class _Tested(NamedTuple):
    """The test users who have a test, those who have none, and the text that was sent now."""

    reached: Sequence[str]
    missed: Sequence[str]
    text: str


def _send_tests(
    context: SendContext, execution: Execution, page: LedgerPage, rows: list[AudienceRow]
) -> _Tested:
    """Send the tests that were not sent before."""

    def may_send(connection: Connection) -> bool:
        return holds_execution(connection, execution)

    push = execution.automation.pushes[page.position - 1].worded(None)
    settle_from_journals(ledger_outlet(context, page), context.data_folder)
    states = read_states(context, execution, page)
    personal = personalise(context, execution, page, push, [r for r in rows if _is_open(r, states)])
    with context.database.transaction() as connection:
        insert_testers(connection, page, personal.messages, personal.refusals)
    left = Unfinished(in_doubt=frozenset(u for u, s in states.items() if s == LedgerState.CLAIMED))
    leave_unreachable(context, page, left, personal.refusals, may_send)
    task = SendTask(
        page=page,
        may_send=may_send,
        should_stop=watch_for_stop(context, execution.id, may_send),
        left=left,
        find_opted_out=lambda connection, users: find_opted_out(
            connection, execution, page.position, users, context.clock(), is_test=True
        ),
    )
    try:
        _send_patiently(context, task, personal.messages)
    except TransportUnavailableError as error:
        raise StepFailedError(f"The test of push {page.position} was not sent: {error}") from error
    track_page(context, execution, page)
    with context.database.transaction() as connection:
        judge_devices(connection, execution, page, context.clock())
        states = select_states(connection, page)
        names = select_tester_names(connection, page)
    users = sorted(
        (names.get(row.user_id) or str(row.user_id), states.get(row.user_id) in _REACHED)
        for row in rows
    )
    return _Tested(
        reached=[user for user, is_reached in users if is_reached],
        missed=[user for user, is_reached in users if not is_reached],
        text="".join(f' Text: "{m.title}", "{m.body}".' for m in personal.messages[:1]),
    )


def _is_open(row: AudienceRow, states: Mapping[UUID, str]) -> bool:
    return states.get(row.user_id, LedgerState.CLAIMED) in _OPEN


def _send_patiently(context: SendContext, task: SendTask, messages: Sequence[Message]) -> None:
    """Send, and wait for deferred messages, so that the test ends with its outcome."""
    while True:
        with context.database.transaction() as connection:
            deferred = select_deferred(connection, task.page)
        _wait_until(context, task, max((one.due_at for one in deferred.values()), default=None))
        tried = {user_id: one.tried for user_id, one in deferred.items()}
        send_messages(context, replace(task, left=replace(task.left, deferred=tried)), messages)
        with context.database.transaction() as connection:
            deferred = select_deferred(connection, task.page)
        messages = [message for message in messages if message.user_id in deferred]
        if not messages:
            return


def _wait_until(context: StepContext, task: SendTask, due_at: datetime | None) -> None:
    left_s = (due_at - context.clock()).total_seconds() if due_at else 0.0
    give_up_at = time.monotonic() + left_s
    while time.monotonic() < give_up_at and not task.should_stop():
        time.sleep(LOOK_S)


def _report_missed(
    context: StepContext, execution: Execution, page: LedgerPage, missed: Sequence[str]
) -> None:
    """Warn of the test users who have no test; nobody stands in for them."""
    if not missed:
        return
    with context.database.transaction() as connection:
        reasons = select_reasons(connection, page)
    text = f"Push {page.position}: test not sent to {', '.join(missed)}: {'; '.join(reasons)}."
    note(context, execution.id, Phase.TEST_SENDING, text, LogLevel.WARNING)


def _report_silence(
    context: StepContext, execution: Execution, page: LedgerPage, *, tried: bool
) -> None:
    """Fail the execution, or warn, because the test of a push reached nobody."""
    with context.database.transaction() as connection:
        reasons = select_reasons(connection, page)
    nobody = "no test user is named here or by the script"
    if execution.automation.settings.names_testers:
        nobody = "no test user that is named is a user id (a UUID)"
    why = "; ".join(reasons) if tried else nobody
    text = f"The test of push {page.position} reached nobody: {why}."
    if _is_required(execution):
        raise StepFailedError(
            f"{text} Name test users who have a device (settings.testUserIds)"
            + ("." if is_test_only(execution.mode) else _OR_DO_WITHOUT)
        )
    note(context, execution.id, Phase.TEST_SENDING, text, LogLevel.WARNING)
