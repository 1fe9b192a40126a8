"""Try a script: a request asks for it, an engine runs it, and nothing is sent."""

import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from chassis.http.ending import ENDING
from chassis.postgres import Connection, Database, LockedError
from push_blaster.adapters.audiences.audience_scripts import (
    ScriptFailedError,
    ScriptRun,
    ScriptStoppedError,
)
from push_blaster.adapters.audiences.preparer import (
    PreparationLostError,
    PreparationMemoryError,
    PreparationStoppedError,
    Preparer,
)
from push_blaster.adapters.audiences.progress import ignore_progress
from push_blaster.adapters.audiences.script_files import RUNNING, find_workplaces
from push_blaster.adapters.audiences.script_folder import ScriptFolder, ScriptNotFoundError
from push_blaster.adapters.audiences.script_run_table import (
    RunNotFoundError,
    delete_folders,
    end_run,
    end_stopped_runs,
    insert_run,
    is_run_stopped,
    keep_run,
    reap_runs,
    select_ended,
    select_run,
    select_run_by_key,
    start_run,
    stop_run,
)
from push_blaster.adapters.operations.engine_table import ALIVE_WITHIN, select_engines
from push_blaster.domain.audiences.script_run import RunEnd, RunRecord, RunState
from push_blaster.use_cases.audiences.fit_parameters import fit_parameters
from push_blaster.use_cases.audiences.record_script_run import run_and_record
from push_blaster.use_cases.context import (
    LOCK_WAIT,
    IdempotencyConflictError,
    SendContext,
    StepContext,
    watch_for_stop,
)

#: A run without a sign of life for this long has lost its engine.
SILENT_FOR: Final = timedelta(seconds=30)
#: How long the output of a trial is kept; it is personal data.
KEPT_FOR: Final = timedelta(days=1)
LOOK_S: Final = 0.2


class NoEngineError(Exception):
    """No engine is running that could run a script."""


class CannotStopRunError(Exception):
    """The run has ended, or belongs to an execution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """A script to try, and its parameters.

    Shape: the script gets `execution_id` as its EXECUTION_ID.
    """

    script_id: str
    parameters: Mapping[str, object]
    execution_id: str | None = None
    idempotency_key: str | None = None


def ask_for_trial(
    database: Database, scripts: ScriptFolder, request: TrialRequest, now: datetime
) -> RunRecord:
    """Let an engine run the script; the same idempotency key gives the same run.

    Raises: ScriptNotFoundError, ParametersError, NoEngineError, IdempotencyConflictError.
    """
    script = scripts.find(request.script_id)
    run_id = uuid4()
    run = RunRecord(
        id=run_id,
        script_id=script.id,
        execution_id=request.execution_id,
        is_trial=True,
        parameters=fit_parameters(script, request.parameters),
        folder=f"trials/{run_id}",
        state=RunState.WAITING,
        asked_at=now,
    )
    with database.transaction() as connection:
        if not select_engines(connection, now - ALIVE_WITHIN):
            raise NoEngineError("No engine is at work; start one, it runs the scripts.")
        if insert_run(connection, run, request.idempotency_key):
            return run
        earlier = select_run_by_key(connection, request.idempotency_key or "")
    if (earlier.script_id, earlier.parameters) != (run.script_id, run.parameters):
        raise IdempotencyConflictError(
            f"The Idempotency-Key was used before, for the run {earlier.id}; send a new key."
        )
    return earlier


def run_trial(context: SendContext, run_id: UUID) -> None:
    """Run a waiting trial, unless another engine does; record how it ended."""
    with context.database.transaction() as connection:
        record = start_run(connection, run_id, context.engine_id, context.clock())
    if record is None:
        return
    run = ScriptRun(
        execution_id=record.execution_id or str(record.id),
        workplace=context.data_folder / RUNNING / str(record.id),
        output_folder=context.data_folder / record.folder,
        parameters=record.parameters,
        limits=context.limits.script,
    )

    def is_wanted(connection: Connection) -> bool:
        return not is_run_stopped(connection, run_id)

    should_stop = watch_for_stop(
        context, None, lambda c: is_wanted(c) and keep_run(c, run_id, context.clock())
    )
    try:
        script = context.scripts.find(record.script_id)
        with Preparer(run.output_folder, context.limits, should_stop, ignore_progress) as preparer:
            run_and_record(context, script, run, record, is_wanted, preparer)
    except (ScriptNotFoundError, PreparationLostError, PreparationMemoryError) as error:
        with context.database.transaction() as connection:
            failed = RunEnd(state=RunState.FAILED, error=str(error))
            end_run(connection, record.id, failed, context.clock())
    except (ScriptFailedError, ScriptStoppedError, PreparationStoppedError):
        return


def find_run(
    database: Database, script_id: str, run_id: UUID, waits_for_locks: timedelta | None = None
) -> RunRecord:
    """Return a run of this script; RunNotFoundError."""
    with database.transaction(waits_for_locks) as connection:
        run = select_run(connection, run_id)
    if run.script_id != script_id:
        raise RunNotFoundError(f"The script {script_id!r} has no run {run_id}.")
    return run


def wait_for_run(database: Database, run: RunRecord, limit: timedelta) -> RunRecord:
    """Return the run once it has ended, or its state after `limit` or when this process ends."""
    give_up_at = time.monotonic() + limit.total_seconds()
    while run.ended_at is None and time.monotonic() < give_up_at and not ENDING.wait(LOOK_S):
        run = find_run(database, run.script_id, run.id)
    return run


def stop_trial(database: Database, script_id: str, run_id: UUID, now: datetime) -> RunRecord:
    """Stop a trial and everything that its script started.

    Raises: RunNotFoundError; CannotStopRunError; LockedError if the stop holds, but somebody has
    locked the whole table of runs.
    """
    try:
        run = find_run(database, script_id, run_id, LOCK_WAIT)
        if not run.is_trial:
            raise CannotStopRunError(f"It runs for the execution {run.execution_id!r}; stop that.")
        if run.ended_at:
            raise CannotStopRunError(f"The run {run_id} has ended already.")
        with database.transaction(LOCK_WAIT) as connection:
            stop_run(connection, run_id, now)
            end_stopped_runs(connection)
        return find_run(database, script_id, run_id, LOCK_WAIT)
    except LockedError as locked:
        with database.transaction(LOCK_WAIT) as connection:
            stop_run(connection, run_id, now)
        raise LockedError(
            "The stop is accepted. How the run ended cannot be read yet, because another "
            "transaction has locked the table; send the stop again later."
        ) from locked


def tidy_runs(context: StepContext, living: Collection[str]) -> None:
    """End runs whose engine is not `living`, and delete their output and that of old trials."""
    now = context.clock()
    left = find_workplaces(context.data_folder)
    with context.database.transaction() as connection:
        end_stopped_runs(connection)
        reap_runs(connection, living, now - SILENT_FOR, now)
        folders = delete_folders(connection, now - KEPT_FOR)
        ended = select_ended(connection, left) if left else set()
    for folder in folders:
        shutil.rmtree(context.data_folder / folder, ignore_errors=True)
    for run_id in ended:
        left[run_id].remove()
