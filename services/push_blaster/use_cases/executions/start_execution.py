"""Start an execution: the one way for every route, page and resumption."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from chassis.postgres import Connection
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_table import (
    NewExecution,
    insert_execution,
    lock_automation,
    select_running_ids,
)
from push_blaster.adapters.executions.execution_view import (
    select_execution,
    select_execution_by_key,
)
from push_blaster.domain.cadence.cadence import TEST_LAYER
from push_blaster.domain.executions.execution import Execution, Trigger, execution_id
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.modes import Mode, simulate
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.use_cases.audiences.fit_parameters import check_parameters
from push_blaster.use_cases.context import IdempotencyConflictError, WebContext

#: The longest time by which a test may be planned ahead.
TEST_AHEAD: Final = timedelta(days=7)


class AlreadyRunningError(Exception):
    """Another execution of the automation, in the same mode, has not ended yet."""


class ArchivedError(Exception):
    """The automation is archived; nothing of it runs."""

    def __init__(self, automation_id: str) -> None:
        """Take the id of the automation."""
        super().__init__(
            f"The automation {automation_id!r} is archived, so it does not run. Take it out of the "
            "archive first."
        )


class BadSlotError(Exception):
    """The requested send time does not fit this mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A request to run an automation: the mode, the person, and so on.

    Shape: an execution that `is_simulated` delivers nothing, whatever its mode; `slot` is only for
    a test of the whole timeline, and then its send time; `resumes` is the stopped execution whose
    audience the new one takes over.
    """

    mode: Mode
    is_simulated: bool
    trigger: Trigger = Trigger.MANUAL
    idempotency_key: str | None = None
    window: timedelta | None = None
    slot: datetime | None = None
    resumes: str | None = None


def start_automation(
    context: WebContext, automation_id: str, request: StartRequest, now: datetime
) -> Execution:
    """Start a saved automation; DocumentNotFoundError, and what start_execution raises."""
    return start_execution(context, context.files.load(automation_id), request, now)


def start_execution(
    context: WebContext, document: Mapping[str, Any], request: StartRequest, now: datetime
) -> Execution:
    """Open an execution whose slot is now, or the test's send time; the engine begins it.

    The same idempotency key gives the same execution, however often it is sent. A new execution
    begins only if its script is there and takes the parameters; a resumed one runs no script.
    Raises: ScriptNotFoundError, ParametersError, AlreadyRunningError, IdempotencyConflictError,
    BadSlotError, ArchivedError.
    """
    if request.is_simulated:
        request = replace(request, mode=simulate(request.mode))
    new = _plan(document, request, context.limits, now)
    with context.database.transaction() as connection:
        lock_automation(connection, document["id"])
        earlier = _find_earlier(connection, document["id"], request)
        if earlier:
            return earlier
        if request.resumes is None:
            check_parameters(context.scripts, read_automation(new.document))
        _check_alone(connection, document["id"], request.mode)
        _check_not_archived(context, document["id"])
        if not insert_execution(connection, new, now):
            _find_earlier(
                connection, document["id"], request
            )  # another automation may just have used the key
            raise BadSlotError(f"There was an execution of {new.slot.isoformat()} before.")
        append_log(connection, new.id, Phase.WAITING, "Started by hand.", now)
        return select_execution(connection, new.id)


def _plan(
    document: Mapping[str, Any], request: StartRequest, limits: Limits, now: datetime
) -> NewExecution:
    slot = _read_slot(request, limits, now)
    begins_at = max(now, slot - limits.test_lead)
    return NewExecution(
        id=execution_id(document["id"], slot, request.mode),
        document=_for_this_run(document, request, limits),
        mode=request.mode,
        trigger=request.trigger,
        slot=slot,
        begins_at=begins_at,
        idempotency_key=request.idempotency_key,
        resumes=request.resumes,
    )


def _read_slot(request: StartRequest, limits: Limits, now: datetime) -> datetime:
    if request.mode is not Mode.TEST_SCHEDULED_SEND:
        if request.slot:
            raise BadSlotError("Only test-scheduled-send has a send time of its own.")
        return now
    slot = request.slot or now + limits.test_lead
    if not now <= slot <= now + TEST_AHEAD:
        raise BadSlotError(f"The test's send time lies between now and {TEST_AHEAD.days} days on.")
    return slot


def _for_this_run(
    saved: Mapping[str, Any], request: StartRequest, limits: Limits
) -> Mapping[str, Any]:
    """Return the document with the changes for this run; a test of the timeline is shortened."""
    document = dict(saved)
    window = request.window
    if request.mode is Mode.TEST_SCHEDULED_SEND:
        window = limits.test_window if window is None else window
        document["pushSequence"] = [_for_test(p, limits) for p in document["pushSequence"]]
    if window is not None:
        minutes = window.total_seconds() / 60
        document["settings"] = {**document["settings"], "cancellationWindowMinutes": minutes}
    return document


def _for_test(push: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    delay = push["timing"].get("delayAfterPrevious") or 0
    gap = min(delay, limits.test_gap.total_seconds() / 60)
    return {**push, "layerId": TEST_LAYER, "timing": {"delayAfterPrevious": gap}}


def _check_alone(connection: Connection, automation_id: str, mode: Mode) -> None:
    running = select_running_ids(connection, automation_id, RUNNING, mode)
    if running:
        raise AlreadyRunningError(
            f"The execution {running[0]!r} of this automation still runs; "
            "wait for its end, cancel it or stop it first."
        )


def _check_not_archived(context: WebContext, automation_id: str) -> None:
    """Refuse by the file, because a resumed execution has the document of its earlier start."""
    stored = context.files.read_all().get(automation_id)
    if stored and stored.automation.is_archived:
        raise ArchivedError(automation_id)


def _find_earlier(
    connection: Connection, automation_id: str, request: StartRequest
) -> Execution | None:
    if request.idempotency_key is None:
        return None
    earlier = select_execution_by_key(connection, request.idempotency_key)
    if earlier and not _is_asked_again(earlier, automation_id, request):
        raise IdempotencyConflictError(
            f"The Idempotency-Key was used before, for the execution {earlier.id!r}; "
            "send a new key for a new execution."
        )
    return earlier


def _is_asked_again(earlier: Execution, automation_id: str, request: StartRequest) -> bool:
    """Return whether `request` asks for the existing execution `earlier`."""
    automation = earlier.automation
    return (
        (automation.id, earlier.mode) == (automation_id, request.mode)
        and request.slot in {None, earlier.slot}
        and request.resumes == earlier.resumes
        and request.window in {None, automation.settings.cancellation_window}
    )
