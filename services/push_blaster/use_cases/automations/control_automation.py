"""Control one automation or all: pause, resume, cancel pending executions, stop running ones."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import StaleVersionError
from push_blaster.adapters.executions.execution_table import select_running_ids
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.phase import BEFORE_LIVE, RUNNING, Phase
from push_blaster.use_cases.automations.change_automation import edit_automation
from push_blaster.use_cases.executions.stop_execution import (
    CannotStopError,
    Receipt,
    cancel_pending,
    end_everything,
    stop_execution,
)

#: How often a change of status is tried again while somebody else saves the automation.
ATTEMPTS: Final = 10


class Action(StrEnum):
    """What can be done to an automation while it is in use."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    EMERGENCY_STOP = "emergency_stop"


class NothingToDoError(Exception):
    """The action makes no sense in the automation's present state."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """The result of an action: the document, the cancelled and the stopped executions."""

    document: Mapping[str, Any]
    cancelled: tuple[str, ...] = ()
    stopped: tuple[Receipt, ...] = ()


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
        """Stop every execution in any phase, and pause the automation."""
        return self._emergency_stop(automation_id, reason, now, ())

    def stop_everything(self, reason: str, now: datetime) -> list[Controlled]:
        """Stop and pause every automation that runs or is scheduled; safe to repeat.

        Executions of an automation whose file is missing or broken are stopped too.
        """
        # Stop everything before the first receipt or file is written, because those take time.
        running = end_everything(self.database, reason, now)
        known = self.files.read_all()
        scheduled = [id_ for id_, stored in known.items() if stored.automation.is_scheduled]
        done = []
        for automation_id in dict.fromkeys([*running, *scheduled]):
            if automation_id in known:
                ended = running.get(automation_id, ())
                done.append(self._emergency_stop(automation_id, reason, now, ended))
            else:
                lost = {"id": automation_id, "status": "lost"}
                stopped = self._stop_running(automation_id, reason, now, running[automation_id])
                done.append(Controlled(lost, stopped=stopped))
        return done

    def running(self, automation_id: str, phases: Collection[Phase]) -> list[str]:
        """Return the ids of the automation's executions in one of `phases`, oldest first."""
        with self.database.transaction() as connection:
            return select_running_ids(connection, automation_id, phases)

    def _emergency_stop(
        self, automation_id: str, reason: str, now: datetime, ended: Collection[str]
    ) -> Controlled:
        is_scheduled = read_automation(self.files.load(automation_id)).is_scheduled
        # Pause first, so that the clock starts nothing new meanwhile; stop the executions even if
        # the file cannot be written.
        status = {"status": "paused"} if is_scheduled else {}
        try:
            paused = self._set_status(automation_id, status, reason, now)
        finally:
            stopped = self._stop_running(automation_id, reason, now, ended)
        return Controlled(paused.document, paused.cancelled, stopped)

    def _set_status(
        self, automation_id: str, changes: Mapping[str, Any], reason: str, now: datetime
    ) -> Controlled:
        if not changes:
            return Controlled(self.files.load(automation_id))
        cancelled: list[str] = []

        def cancel(id_: str, _: str) -> list[str]:
            cancelled.extend(cancel_pending(self.database, id_, reason, now))
            return cancelled

        # Somebody may be saving the automation at this moment; the pause must succeed all the same.
        for _ in range(ATTEMPTS):
            with suppress(StaleVersionError):
                change = edit_automation(self.files, automation_id, changes, cancel, now)
                return Controlled(change.document, tuple(cancelled))
        change = edit_automation(self.files, automation_id, changes, cancel, now)
        return Controlled(change.document, tuple(cancelled))

    def _stop_running(
        self, automation_id: str, reason: str, now: datetime, ended: Collection[str]
    ) -> tuple[Receipt, ...]:
        """Stop running executions; return receipts for them, and for those in `ended`."""
        receipts = []
        for execution_id in [*ended, *self.running(automation_id, RUNNING)]:
            try:
                receipts.append(stop_execution(self.database, execution_id, reason, now))
            except CannotStopError:
                continue  # it has ended by itself meanwhile
        return tuple(receipts)


def find_actions(automation: Automation, running_phases: set[Phase]) -> list[Action]:
    """Return the actions for an automation whose executions are in `running_phases`."""
    actions = [Action.PAUSE] if automation.is_scheduled else [Action.RESUME]
    if running_phases & BEFORE_LIVE:
        actions.append(Action.CANCEL)
    if running_phases or automation.is_scheduled:
        actions.append(Action.EMERGENCY_STOP)
    return actions
