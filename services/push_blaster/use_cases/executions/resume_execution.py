"""Resume a stopped live send: a new execution sends to the rest of its audience."""

from dataclasses import replace
from datetime import datetime, timedelta

from chassis.postgres import Connection
from push_blaster.adapters.delivery.resumed_sends import has_settled
from push_blaster.adapters.executions.execution_view import select_execution, select_snapshot
from push_blaster.domain.executions.execution import Execution, PushProgress, PushStatus
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.context import StepContext, StepFailedError, WebContext
from push_blaster.use_cases.executions.start_execution import StartRequest, start_execution


class CannotResumeError(Exception):
    """The execution cannot be resumed, or not yet."""


def resume_execution(
    context: WebContext,
    execution_id: str,
    now: datetime,
    *,
    idempotency_key: str | None = None,
    window: timedelta | None = None,
    even_if_restored: bool = False,
) -> Execution:
    """Start an execution that resumes a stopped one; it has a test and a window, too.

    It sends the messages that the stopped execution would have sent, to the same frozen audience.
    An execution from a backup is resumed only `even_if_restored`.
    Raises: ExecutionNotFoundError, CannotResumeError, and what start_execution raises.
    """
    with context.database.transaction() as connection:
        earlier = select_execution(connection, execution_id)
        _check_resumable(connection, earlier, even_if_restored=even_if_restored)
        document = select_snapshot(connection, execution_id)
    request = StartRequest(
        mode=Mode.LIVE,
        is_simulated=False,
        idempotency_key=idempotency_key,
        window=window,
        resumes=execution_id,
    )
    return start_execution(context, document, request, now)


def take_over_audiences(context: StepContext, execution: Execution) -> tuple[PushProgress, ...]:
    """Return the pushes of a resuming execution, with the audiences of the stopped execution."""
    with context.database.transaction() as connection:
        earlier = select_execution(connection, execution.resumes or "")
    pushes = []
    for own, old in zip(execution.pushes, earlier.pushes, strict=True):
        if old.audience is None or not (context.data_folder / old.audience.file).exists():
            raise StepFailedError(
                f"The audience of push {old.position} of {earlier.id!r} is gone; the execution "
                "cannot be resumed. Start the automation again."
            )
        pushes.append(replace(own, status=PushStatus.AUDIENCE_READY, audience=old.audience))
    return tuple(pushes)


def _check_resumable(connection: Connection, earlier: Execution, *, even_if_restored: bool) -> None:
    if not earlier.can_resume:
        raise CannotResumeError(
            f"The execution {earlier.id!r} is {earlier.phase}: only a live send that was stopped, "
            "or failed, on its way can be resumed. Start the automation again."
        )
    if earlier.restored_at and not even_if_restored:
        raise CannotResumeError(
            f"The execution {earlier.id!r} was restored from a backup at "
            f"{earlier.restored_at.isoformat(timespec='seconds')}. What it sent after the backup "
            "was made is unknown: users may get the message a second time, and the caps do not "
            "count the first one. To resume it all the same, send evenIfRestored: true."
        )
    if not has_settled(connection, earlier.id):
        raise CannotResumeError(
            f"{earlier.id!r} still settles the messages that were in flight; try again in a moment."
        )
