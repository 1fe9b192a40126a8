"""Control one execution as the original controlled its sequences: cancel, stop, delete."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.executions.execution_removal import (
    delete_execution,
    delete_execution_folder,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.executions.execution import Execution, PushProgress, PushStatus
from push_blaster.domain.executions.modes import Mode, delivers
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.timeline import find_current_push
from push_blaster.use_cases.executions.stop_execution import (
    CannotStopError,
    Receipt,
    stop_execution,
)

DRY_MODES: Final = frozenset(mode for mode in Mode if not delivers(mode))


class SequenceAction(StrEnum):
    """The actions that the original offered for a sequence."""

    PAUSE = "pause"
    CANCEL = "cancel"
    EMERGENCY_STOP = "emergency_stop"


class CannotPauseError(Exception):
    """An execution cannot be paused."""


class CannotDeleteError(Exception):
    """The execution is running, or its record must be kept."""


def control_sequence(
    database: Database, execution_id: str, action: SequenceAction, reason: str, now: datetime
) -> Receipt:
    """End an execution: cancel it between two pushes, or stop it in the middle of one.

    Raises: ExecutionNotFoundError, CannotPauseError, CannotStopError.
    """
    with database.transaction() as connection:
        execution = select_execution(connection, execution_id)
    if action is SequenceAction.PAUSE:
        raise CannotPauseError(
            f"{execution_id!r} cannot be paused: its test would be out of date. Cancel it, and "
            "start another one later; to keep later sends from beginning, pause the automation "
            '(POST /api/automation/control with the action "pause").'
        )
    push = find_push_on_its_way(execution)
    if push and action is SequenceAction.CANCEL:
        raise CannotStopError(
            f"Push {push.position} of {execution_id!r} is going out. Cancel again once it is out, "
            "or use emergency_stop to end it half-way."
        )
    return stop_execution(database, execution_id, reason, now)


def delete_sequence(database: Database, data_folder: Path, execution_id: str) -> None:
    """Remove a dry run that has ended, with its audiences.

    Raises: ExecutionNotFoundError; CannotDeleteError if it is running, or not a dry run: caps,
    counters and slots depend on the record of what was sent.
    """
    with database.transaction() as connection:
        execution = select_execution(connection, execution_id)
        deleted = delete_execution(connection, execution_id, DRY_MODES)
    if not deleted:
        raise CannotDeleteError(_why_kept(execution))
    delete_execution_folder(data_folder, execution_id)


def find_sequence_actions(execution: Execution) -> list[SequenceAction]:
    """Return the actions that an execution allows now."""
    if execution.has_ended:
        return []
    if find_push_on_its_way(execution):
        return [SequenceAction.EMERGENCY_STOP]
    return [SequenceAction.CANCEL, SequenceAction.EMERGENCY_STOP]


def find_push_on_its_way(execution: Execution) -> PushProgress | None:
    """Return the push that is being sent, or None."""
    if execution.phase is not Phase.LIVE_EXECUTION:
        return None
    push = find_current_push(execution.pushes)
    return push if push and push.status is PushStatus.SENDING else None


def _why_kept(execution: Execution) -> str:
    if not execution.has_ended:
        return f"{execution.id!r} still runs; cancel it or stop it first."
    if execution.mode in DRY_MODES:
        return f"The last batches of {execution.id!r} are being closed; try again in some seconds."
    return f"{execution.id!r} was no dry run: the record of what was sent is kept."
