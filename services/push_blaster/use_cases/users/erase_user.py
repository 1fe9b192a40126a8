"""Erase a user from everything that is kept: a job that any engine goes on with after a kill."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import StaleVersionError
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.users.busy_executions import BusyExecution, select_busy
from push_blaster.adapters.users.erasure_table import (
    ErasureJob,
    end_erasure,
    insert_erasure,
    keep_erasure,
    take_erasure,
    update_erasure,
)
from push_blaster.adapters.users.file_erasure import FileErasure
from push_blaster.adapters.users.masked_files import find_files, names_user
from push_blaster.adapters.users.row_erasure import erase_rows
from push_blaster.domain.users.erasure import Erasure, Stage
from push_blaster.use_cases.context import SendContext, StepStoppedError

log = structlog.get_logger()

#: How soon an erasure that waits is looked at again, and one whose last look failed.
AGAIN: Final = timedelta(seconds=5)
AFTER_A_FAULT: Final = timedelta(seconds=30)
#: How often an engine says that it goes on.
_SIGN_S: Final = 5.0
#: How many executions the receipt names.
_NAMED: Final = 3


def ask_for_erasure(database: Database, user_id: UUID, now: datetime) -> Erasure:
    """Ask for the erasure of a user, known or not; the user gets no push from now on.

    While the user is being erased, a second request is answered with the first one's erasure.
    """
    with database.transaction() as connection:
        return insert_erasure(connection, user_id, now)


def erase_users(context: SendContext, files: AutomationFiles) -> int:
    """Go on with every erasure that is due; return how many there were."""
    count = 0
    while not context.is_shutting_down():
        with context.database.transaction() as connection:
            job = take_erasure(connection, context.clock())
        if job is None:
            break
        count += 1
        _go_on(context, files, job)
    return count


def _go_on(context: SendContext, files: AutomationFiles, job: ErasureJob) -> None:
    """Do what is possible now; a fault of one erasure keeps no other one waiting."""
    try:
        _advance(context, files, job)
    except StepStoppedError:
        return
    except StaleVersionError as stale:  # somebody saved the document just now
        log.info("erasure_repeated", erasure=str(job.erasure.id), reason=str(stale))
        _wait(context, job, job.erasure.stage, "an automation that is being changed", ())
    except OSError as fault:
        log.warning("erasure_failed", erasure=str(job.erasure.id), reason=fault.strerror)
        why = f"the data folder, which cannot be changed: {fault.strerror}"
        _wait(context, job, job.erasure.stage, why, (), AFTER_A_FAULT)


def _advance(context: SendContext, files: AutomationFiles, job: ErasureJob) -> None:
    stage, notes = job.erasure.stage, list[str]()
    if stage is not Stage.AWAITING_CADENCE:
        busy, waits = _find_busy(context, job)
        if stage is Stage.ASKED or not waits:
            notes += _sweep(context, files, job, busy, is_last=not waits)
            # One may have begun meanwhile; and what has ended meanwhile was left as it was.
            waits = waits or _find_busy(context, job)[1]
        if waits:
            if stage is Stage.ASKED:
                _tell_cadence(context, job)
            _wait(context, job, Stage.AWAITING_EXECUTIONS, _name(waits), notes)
            return
    fault = _tell_cadence(context, job)
    if fault:
        _wait(context, job, Stage.AWAITING_CADENCE, f"the cadence service: {fault}", notes)
        return
    with context.database.transaction() as connection:
        update_erasure(connection, job, Stage.AWAITING_CADENCE, context.clock(), notes=notes)
        end_erasure(connection, job.erasure.id, context.clock())
    log.info("user_erased", erasure=str(job.erasure.id))


def _sweep(
    context: SendContext,
    files: AutomationFiles,
    job: ErasureJob,
    busy: Sequence[BusyExecution],
    *,
    is_last: bool,
) -> Sequence[str]:
    """Erase the user from files and tables; return notes. What busy executions need stays."""
    kept = {folder for one in busy for folder in one.folders}
    going_on = _Signs(context, job.erasure.id).give
    erasure = FileErasure(
        database=context.database,
        files=files,
        data_folder=context.data_folder,
        busy=kept,
        is_last=is_last,
        going_on=going_on,
        now=context.clock(),
    )
    traces = erasure.erase(job.traces)
    erase_rows(context.database, traces, kept, going_on)
    erasure.remove_uploads(traces)
    return erasure.notes


def _find_busy(
    context: SendContext, job: ErasureJob
) -> tuple[Sequence[BusyExecution], Sequence[str]]:
    """Return the executions that are busy, and those for which the erasure has to wait."""
    with context.database.transaction() as connection:
        busy = select_busy(connection, job.traces, job.erasure.asked_at)
    folder = context.data_folder / "executions"
    waits = [
        one.id
        for one in busy
        if not one.began_later
        and (
            one.names_user
            or any(
                names_user(path, job.traces)
                for name in one.folders
                for path in find_files(folder / name)
            )
        )
    ]
    return busy, waits


def _name(waits: Sequence[str]) -> str:
    more = f" and {len(waits) - _NAMED} more" if len(waits) > _NAMED else ""
    return f"the end of {', '.join(waits[:_NAMED])}{more}"


def _tell_cadence(context: SendContext, job: ErasureJob) -> str | None:
    """Erase the user's history; return why that is not possible now."""
    try:
        context.cadence.erase_history(job.traces.user_id)
    except CadenceUnavailableError as error:
        return str(error)
    return None


def _wait(
    context: SendContext,
    job: ErasureJob,
    stage: Stage,
    waits_for: str,
    notes: Sequence[str],
    pause: timedelta = AGAIN,
) -> None:
    with context.database.transaction() as connection:
        update_erasure(connection, job, stage, context.clock() + pause, waits_for, notes)


@dataclass(slots=True)
class _Signs:
    """Says from time to time that the erasure goes on, so that no other engine takes it."""

    context: SendContext
    erasure_id: UUID
    uptime: Callable[[], float] = time.monotonic
    _given: float = field(default_factory=time.monotonic)

    def give(self) -> None:
        """Say so if it is time; StepStoppedError if the engine is shutting down."""
        if self.context.is_shutting_down():
            raise StepStoppedError("its engine is shutting down")
        if self.uptime() - self._given >= _SIGN_S:
            self._given = self.uptime()
            with self.context.database.transaction() as connection:
                keep_erasure(connection, self.erasure_id, self.context.clock())
