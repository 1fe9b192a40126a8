"""Control one automation or all: pause, resume, cancel pending executions, stop running ones."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import structlog

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles, StoredAutomation
from push_blaster.adapters.automations.document_files import (
    DocumentNotFoundError,
    DocumentNotWrittenError,
    StaleVersionError,
)
from push_blaster.adapters.executions.execution_table import select_running_ids
from push_blaster.adapters.operations.emergency_stops import (
    finish_emergency_stops,
    select_unfinished,
)
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.phase import BEFORE_LIVE, Phase
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.automations.change_automation import edit_automation
from push_blaster.use_cases.executions.stop_execution import (
    cancel_pending,
    drain,
    stop_every_execution,
    stop_executions_before,
    stop_running,
)

log = structlog.get_logger()

#: How often a change of status is tried again while somebody else saves the automation.
ATTEMPTS: Final = 10
#: How long an emergency stop waits for the automations to be paused before it answers.
PAUSING_S: Final = 0.3


class Action(StrEnum):
    """What can be done to an automation while it is in use."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    EMERGENCY_STOP = "emergency_stop"


class NothingToDoError(Exception):
    """The action makes no sense in the automation's present state."""


class NotPausedError(Exception):
    """Every execution is stopped, but the automation could not be paused."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """The result of an action: the document, the cancelled and the stopped executions.

    Shape: `stopped` has, for each execution, what it had sent; `fault` says why an automation that
    an emergency stop of everything pauses is not paused yet.
    """

    document: Mapping[str, Any]
    cancelled: tuple[str, ...] = ()
    stopped: Mapping[str, Funnel] = field(default_factory=dict)
    fault: str | None = None

    def describe(self) -> str:
        """Return what was done, in sentences."""
        sentences = [f"The automation is {self.document['status']}."]
        if self.fault:
            sentences = [f"Not paused yet: {self.fault} It starts nothing; engines try again."]
        sentences += [f"Cancelled: {', '.join(self.cancelled)}."] if self.cancelled else []
        return " ".join([*sentences, *describe_stops(self.stopped)])


def describe_stops(stopped: Mapping[str, Funnel]) -> list[str]:
    """Return what each stopped execution had sent, in a sentence each."""
    return [
        f"Stopped: {execution_id}, {sent.sent} sent, {sent.in_doubt} in doubt."
        for execution_id, sent in stopped.items()
    ]


@dataclass(frozen=True, slots=True)
class Control:
    """Controls the automations of a folder, and their executions in a database."""

    files: AutomationFiles
    database: Database

    def act(self, action: Action, automation_id: str, reason: str, now: datetime) -> Controlled:
        """Do `action`, for `reason`; DocumentNotFoundError, NothingToDoError."""
        acts: dict[Action, Callable[[str, str, datetime], Controlled]] = {
            Action.PAUSE: self.pause,
            Action.RESUME: self.resume,
            Action.CANCEL: self.cancel,
            Action.EMERGENCY_STOP: self.emergency_stop,
        }
        return acts[action](automation_id, reason, now)

    def pause(self, automation_id: str, reason: str, now: datetime) -> Controlled:
        """Start no more executions, and cancel those that are not yet live; the schedule stays."""
        if not read_automation(self.files.load(automation_id)).is_scheduled:
            raise NothingToDoError(f"The automation {automation_id!r} is not scheduled.")
        return self._set_status(automation_id, {"status": "paused"}, reason, now)

    def resume(self, automation_id: str, reason: str, now: datetime) -> Controlled:
        """Start executions again from the next slot on; missed slots stay missed."""
        if read_automation(self.files.load(automation_id)).is_scheduled:
            raise NothingToDoError(f"The automation {automation_id!r} is scheduled already.")
        return self._set_status(automation_id, {"status": "active", "isActive": True}, reason, now)

    def cancel(self, automation_id: str, reason: str, now: datetime) -> Controlled:
        """Cancel the executions that are not yet live; later slots stay scheduled."""
        document = self.files.load(automation_id)
        cancelled = cancel_pending(self.database, automation_id, reason, now)
        if not cancelled:
            raise NothingToDoError(
                f"No execution of {automation_id!r} can be cancelled; one that is live needs "
                "emergency_stop."
            )
        return Controlled(document, tuple(cancelled))

    def emergency_stop(self, automation_id: str, reason: str, now: datetime) -> Controlled:
        """Stop every execution in any phase, and pause the automation; NotPausedError."""
        is_scheduled = read_automation(self.files.load(automation_id)).is_scheduled
        # Pause first, so that the clock starts nothing new meanwhile; stop the executions even if
        # the file cannot be written.
        fault = None
        paused = Controlled({})
        with self.files.reporting_last():
            try:
                changes = {"status": "paused"} if is_scheduled else {}
                paused = self._set_status(automation_id, changes, reason, now)
            except DocumentNotWrittenError as error:
                fault = error
            finally:
                stopped = stop_running(self.database, automation_id, reason, now)
        if fault:
            done = " ".join(describe_stops(stopped)) or "No execution of it ran."
            raise NotPausedError(
                f"{done} But the automation {automation_id!r} is not paused, and its next send "
                f"still goes out. {fault} Then send the same request again."
            ) from fault
        return replace(paused, stopped=stopped)

    def stop_everything(self, reason: str, now: datetime) -> list[Controlled]:
        """Stop and pause every automation that runs or is scheduled; safe to repeat.

        One statement stops all executions. Writing the files takes time: what is not paused after
        `PAUSING_S` is `pausing` in the answer, and the clock opens nothing for it any more.
        Executions of an automation whose file is missing or broken are stopped too.
        Raises: NotPausedError if the folder cannot be read; engines pause what is in it later.
        """
        stopped = stop_every_execution(self.database, reason, now)
        totals = drain(self.database, list(stopped), now)
        known = self._read_all(totals)
        pool = ThreadPoolExecutor(1)
        paused: dict[str, Exception | None] = {}
        pausing = pool.submit(self.finish_emergency_stop, now, paused.__setitem__)
        pool.shutdown(wait=False)
        wait([pausing], PAUSING_S)  # what fails is tried again by engines
        faults = {id_: str(fault) for id_, fault in dict(paused).items() if fault}
        done = defaultdict[str, dict[str, Funnel]](dict)
        for execution_id, automation_id in stopped.items():
            done[automation_id][execution_id] = totals[execution_id]
        scheduled = [id_ for id_, stored in known.items() if stored.automation.is_scheduled]
        statuses = {id_: stored.automation.status for id_, stored in known.items()}
        statuses |= dict.fromkeys(scheduled, "pausing")
        statuses |= dict.fromkeys([id_ for id_ in dict(paused) if id_ not in faults], "paused")
        return [
            Controlled(
                {"id": id_, "status": statuses.get(id_, "lost")},
                stopped=done.get(id_, {}),
                fault=faults.get(id_),
            )
            for id_ in dict.fromkeys([*done, *scheduled])
        ]

    def _read_all(self, stopped: Mapping[str, Funnel]) -> Mapping[str, StoredAutomation]:
        try:
            return self.files.read_all()
        except OSError as error:
            done = " ".join(describe_stops(stopped)) or "No execution ran."
            raise NotPausedError(
                f"{done} But no automation is paused yet, because the folder of "
                f"automations (PUSH_DATA_DIR) cannot be read ({error.strerror}). They start "
                "nothing meanwhile, and engines pause them as soon as it can be read."
            ) from error

    def finish_emergency_stop(
        self, now: datetime, note: Callable[[str, Exception | None], None] = lambda *_: None
    ) -> None:
        """Stop and pause what an emergency stop has not yet; a process that died left it so.

        Shape: `note` is told the id of each automation, and why it could not be paused.
        """
        with self.database.transaction() as connection:
            stop = select_unfinished(connection)
        if stop is None:
            return
        stop_executions_before(self.database, stop, now)
        active = [i for i, stored in self.files.read_all().items() if stop.stops(stored.automation)]
        failures = []
        for automation_id in active:
            failure = self._try_to_pause(automation_id, stop.reason, now)
            note(automation_id, failure)
            failures += [failure] if failure else []
        if failures:
            raise failures[0]
        with self.database.transaction() as connection:
            finish_emergency_stops(connection, stop, now)

    def _try_to_pause(self, automation_id: str, reason: str, now: datetime) -> Exception | None:
        """Pause the automation; return the error if its file cannot be written."""
        try:
            with suppress(DocumentNotFoundError):  # it was deleted meanwhile
                self._set_status(automation_id, {"status": "paused"}, reason, now)
        except Exception as error:
            log.exception("automation_not_paused", automation=automation_id)
            return error
        return None

    def running(self, automation_id: str, phases: Collection[Phase]) -> list[str]:
        """Return the ids of the automation's executions in one of `phases`, oldest first."""
        with self.database.transaction() as connection:
            return select_running_ids(connection, automation_id, phases)

    def _set_status(
        self, automation_id: str, changes: Mapping[str, Any], reason: str, now: datetime
    ) -> Controlled:
        if not changes:
            return Controlled(self.files.load(automation_id))
        # Somebody may be saving the automation at this moment; the pause must succeed all the same.
        for _ in range(ATTEMPTS):
            with suppress(StaleVersionError):
                return self._edit(automation_id, changes, reason, now)
        return self._edit(automation_id, changes, reason, now)

    def _edit(
        self, automation_id: str, changes: Mapping[str, Any], reason: str, now: datetime
    ) -> Controlled:
        change = edit_automation(self.files, self.database, automation_id, changes, now, reason)
        return Controlled(change.document, change.cancelled)


def describe_emergency_stop(done: Sequence[Controlled]) -> str:
    """Return the answer to an emergency stop of everything, in sentences."""
    text = f"{number_of(len(done), 'automation')} stopped."
    faults = [one.fault for one in done if one.fault]
    if faults:
        text += (
            f" {len(faults)} of them are not paused yet: {faults[0]} They start nothing meanwhile, "
            "and engines try again."
        )
    return text


def find_actions(automation: Automation, running_phases: set[Phase]) -> list[Action]:
    """Return the actions for an automation whose executions are in `running_phases`."""
    actions = [Action.PAUSE if automation.is_scheduled else Action.RESUME]
    if automation.is_archived:
        actions.clear()
    if running_phases & BEFORE_LIVE:
        actions.append(Action.CANCEL)
    if running_phases or automation.is_scheduled:
        actions.append(Action.EMERGENCY_STOP)
    return actions
