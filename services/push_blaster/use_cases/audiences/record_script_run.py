"""Run a script and record how it ended."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

from chassis.postgres import Connection, LockedError
from push_blaster.adapters.audiences.audience_scripts import (
    ScriptFailedError,
    ScriptRun,
    ScriptStoppedError,
    run_script,
)
from push_blaster.adapters.audiences.preparer import Preparer
from push_blaster.adapters.audiences.script_folder import Script
from push_blaster.adapters.audiences.script_results import describe_output
from push_blaster.adapters.audiences.script_run_table import end_run, keep_run
from push_blaster.adapters.operations.execution_stops import has_stops, is_stopped
from push_blaster.adapters.operations.shortages import find_shortage
from push_blaster.domain.audiences.script_run import RunEnd, RunRecord, RunState
from push_blaster.domain.executions.execution import LogLevel
from push_blaster.use_cases.context import LOCK_WAIT, StepContext, note, watch_for_stop

_ENDED: Final = "The script was ended because"


def run_and_record(
    context: StepContext,
    script: Script,
    run: ScriptRun,
    record: RunRecord,
    is_wanted: Callable[[Connection], bool],
    preparer: Preparer,
) -> None:
    """Run the script to its end, and write its output to the log as it comes.

    Shape: its record exists already, as running. An unwanted script is stopped.
    Raises: ScriptFailedError, ScriptStoppedError.
    """

    def log_line(stream: str, line: str) -> None:
        level = LogLevel.WARNING if stream == "stderr" else LogLevel.INFO
        note(context, record.log_id, "script", line, level)

    def goes_on(connection: Connection) -> bool:
        return is_wanted(connection) and keep_run(connection, record.id, context.clock())

    try:
        should_stop = watch_for_stop(context, record.execution_id, goes_on)
        refused = run_script(script, run, should_stop, log_line)
    except ScriptStoppedError as stopped:
        end = _describe_stop(context, record)
        # The stop of a trial is a row of its own, and ends the record as soon as that is free.
        with suppress(LockedError):
            _end(context, record.id, end, LOCK_WAIT if record.is_trial else None)
        raise ScriptStoppedError(str(end.error)) from stopped
    except (ScriptFailedError, OSError) as error:
        _end(context, record.id, _describe_fault(error))
        raise
    for name, reason in refused.items():
        log_line("stderr", f"The file {name!r} is not used, because it {reason}.")
    size = sum(path.stat().st_size for path in run.output_folder.iterdir())
    audiences = preparer.run(size, describe_output, run.output_folder, refused)
    _end(context, record.id, RunEnd(state=RunState.SUCCEEDED, exit_code=0, audiences=audiences))


def _describe_stop(context: StepContext, record: RunRecord) -> RunEnd:
    """Return how a stopped run ended; only what a person stopped is called stopped."""
    if context.is_shutting_down():
        return RunEnd(state=RunState.FAILED, error=f"{_ENDED} its engine ends.")
    execution_id = record.execution_id
    with context.database.transaction() as connection:
        if not record.is_trial and execution_id and not _is_stopped(connection, execution_id):
            return RunEnd(state=RunState.FAILED, error=f"{_ENDED} another engine took over.")
    what = "it was stopped" if record.is_trial else "its execution was stopped"
    return RunEnd(state=RunState.STOPPED, error=f"{_ENDED} {what}.")


def _is_stopped(connection: Connection, execution_id: str) -> bool:
    """Return whether somebody stopped the execution; a stop is read where nobody locks it."""
    return has_stops(connection, [execution_id]) or is_stopped(connection, execution_id)


def _describe_fault(error: ScriptFailedError | OSError) -> RunEnd:
    """Return how a run failed; an error of the system is the engine's trouble, not the script's."""
    code = error.code if isinstance(error, ScriptFailedError) else None
    text = find_shortage(error) or str(error)
    return RunEnd(state=RunState.FAILED, exit_code=code, error=text)


def _end(
    context: StepContext, run_id: UUID, end: RunEnd, waits_for_locks: timedelta | None = None
) -> None:
    with context.database.transaction(waits_for_locks) as connection:
        end_run(connection, run_id, end, context.clock())
