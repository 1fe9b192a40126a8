"""Send every push to the test users first, with the variables of a real row."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

from chassis.postgres import Connection
from push_blaster.adapters.audience_csv import open_audience, open_text
from push_blaster.adapters.delivery_ledger import (
    LedgerPage,
    insert_refusals,
    select_reasons,
    select_states,
)
from push_blaster.adapters.execution_table import holds_execution
from push_blaster.adapters.frozen_audiences import AudienceRow, read_batch
from push_blaster.domain.audience import AudienceBindingError, bind_audience
from push_blaster.domain.automation import Settings
from push_blaster.domain.execution import (
    Execution,
    LogLevel,
    Phase,
    PushAudience,
    PushProgress,
    PushStatus,
)
from push_blaster.domain.message import TransportUnavailableError
from push_blaster.domain.timeline import live_instant
from push_blaster.use_cases.generate_audience import list_output
from push_blaster.use_cases.parts import Parts, StepFailedError, note, watch_for_stop
from push_blaster.use_cases.personalise import TOKEN_COLUMN, personalise
from push_blaster.use_cases.send_messages import SendTask, send_messages
from push_blaster.use_cases.track_sends import track_page

#: How many of the script's TEST rows are used when the automation names no test users.
MAX_TEST_ROWS = 20


def send_test(parts: Parts, execution: Execution) -> Execution:
    """Send the tests, and open the cancellation window: live is at T, or a whole window later.

    Raises: StepFailedError if a test is required and reached nobody.
    """
    settings = execution.automation.settings
    pushes = execution.pushes
    if settings.dry_run_first or settings.require_test_first:
        pushes = tuple(_test_push(parts, execution, progress) for progress in pushes)
    live_at = live_instant(execution.slot, parts.clock(), settings.cancellation_window)
    return replace(execution, phase=Phase.CANCELLATION_WINDOW, live_at=live_at, pushes=pushes)


def _test_push(parts: Parts, execution: Execution, progress: PushProgress) -> PushProgress:
    audience = progress.audience
    if audience is None:
        raise StepFailedError(f"Push {progress.position} has no audience.")
    page = LedgerPage(execution.id, progress.position, is_test=True)
    rows = _find_rows(parts, execution, progress.position, audience)
    sent = _send(parts, execution, page, rows)
    if sent:
        text = f"Push {progress.position}: test sent to {', '.join(sent)}."
        note(parts, execution.id, Phase.TEST_SENDING, text, LogLevel.SUCCESS)
        return replace(progress, status=PushStatus.TEST_SENT)
    _judge_silence(parts, execution, page, tried=bool(rows))
    return progress


def _send(
    parts: Parts, execution: Execution, page: LedgerPage, rows: list[AudienceRow]
) -> list[str]:
    """Send the tests that were not sent before; return who has one now."""

    def may_send(connection: Connection) -> bool:
        return holds_execution(connection, execution)

    with parts.database.transaction() as connection:
        states = select_states(connection, page)
    open_rows = [row for row in rows if states.get(row.user_id, "claimed") == "claimed"]
    push = execution.automation.pushes[page.position - 1]
    personal = personalise(parts, execution.id, push, open_rows)
    with parts.database.transaction() as connection:
        insert_refusals(connection, page, personal.refusals, parts.clock())
    task = SendTask(
        page=page,
        may_send=may_send,
        should_stop=watch_for_stop(parts, may_send),
        in_doubt={user_id for user_id, state in states.items() if state == "claimed"},
    )
    try:
        send_messages(parts, task, personal.messages)
    except TransportUnavailableError as error:
        raise StepFailedError(f"The test of push {page.position} was not sent: {error}") from error
    track_page(parts, execution, page)
    with parts.database.transaction() as connection:
        states = select_states(connection, page)
    return sorted(str(user_id) for user_id, state in states.items() if state == "sent")


def _find_rows(
    parts: Parts, execution: Execution, position: int, audience: PushAudience
) -> list[AudienceRow]:
    """Return the test users with the variables of the first real row; else the TEST rows."""
    path = parts.data_folder / audience.file
    users = _read_users(parts, execution)
    if users:
        real = read_batch(path, 0, 1)[0].variables
        variables = {name: value for name, value in real.items() if name != TOKEN_COLUMN}
        return [AudienceRow(user_id, variables) for user_id in users]
    wanted = execution.automation.pushes[position - 1].audience_name
    return _read_test_rows(path.parent / "output", wanted)


def _read_users(parts: Parts, execution: Execution) -> list[UUID]:
    users: dict[UUID, None] = {}
    for text in execution.automation.settings.test_user_ids:
        try:
            users[UUID(text)] = None
        except ValueError:
            complaint = f"settings.testUserIds: {text!r} is no user id (a UUID); left out."
            note(parts, execution.id, Phase.TEST_SENDING, complaint, LogLevel.WARNING)
    return list(users)


def _read_test_rows(output: Path, wanted: str) -> list[AudienceRow]:
    try:
        source = bind_audience(wanted, list(list_output(output).values()), is_test=True)
    except AudienceBindingError:
        return []
    with open_text(output / source.file_name) as file:
        rows = open_audience(file, source.file_name).rows
        good = [AudienceRow(UUID(row.user_id), row.variables) for row in rows if not row.problem]
    return good[:MAX_TEST_ROWS]


def _judge_silence(parts: Parts, execution: Execution, page: LedgerPage, *, tried: bool) -> None:
    """Fail the execution, or warn, because the test of a push reached nobody."""
    settings: Settings = execution.automation.settings
    with parts.database.transaction() as connection:
        reasons = select_reasons(connection, page)
    why = "; ".join(reasons) if tried else "settings.testUserIds is empty, and so are TEST rows"
    text = f"The test of push {page.position} reached nobody: {why}."
    if settings.require_test_first:
        raise StepFailedError(
            f"{text} Name test users who have a device in settings.testUserIds, or set "
            "settings.safeguards.requireTestFirst to false."
        )
    note(parts, execution.id, Phase.TEST_SENDING, text, LogLevel.WARNING)
