"""Pause or resume many automations, one after the other; each has a result of its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentNotFoundError,
    DocumentNotWrittenError,
    StaleVersionError,
)
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.schedule.finding import Finding
from push_blaster.use_cases.automations.control_automation import (
    Action,
    Control,
    NothingToDoError,
)

#: The actions that many automations can take at once.
BULK_ACTIONS: Final = (Action.PAUSE, Action.RESUME)
#: After this time the rest is left for the next request.
TAKES_S: Final = 10.0

_FAULTS: Final = (
    BrokenDocumentError,
    DocumentNotFoundError,
    DocumentNotWrittenError,
    NothingToDoError,
    StaleVersionError,
)


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The result for one automation: whether the action was done, and a sentence about it."""

    automation_id: str
    is_done: bool
    message: str


@dataclass(frozen=True, slots=True)
class BulkReport:
    """The results, and the automations for which there was no time: send the request for them."""

    results: Sequence[BulkResult]
    remaining: Sequence[str]


@dataclass(frozen=True, slots=True)
class BulkControl:
    """Pauses or resumes many automations.

    Shape: `find_fatal` returns why an automation would send nothing; then it is not resumed.
    """

    control: Control
    find_fatal: Callable[[Automation, datetime], Sequence[Finding]]
    takes_s: float = TAKES_S

    def act(self, action: Action, ids: Sequence[str], reason: str, now: datetime) -> BulkReport:
        """Do `action`; automations that it does not fit stay as they are. Safe to repeat."""
        wanted, results = list(dict.fromkeys(ids)), list[BulkResult]()
        until = time.monotonic() + self.takes_s
        for automation_id in wanted:
            if results and time.monotonic() > until:
                break
            results.append(self._act_on_one(action, automation_id, reason, now))
        return BulkReport(results, wanted[len(results) :])

    def _act_on_one(
        self, action: Action, automation_id: str, reason: str, now: datetime
    ) -> BulkResult:
        try:
            automation = read_automation(self.control.files.load(automation_id))
            fault = self._find_fault(action, automation, now)
            if fault:
                return BulkResult(automation_id, is_done=False, message=fault)
            done = self.control.act(action, automation_id, reason, now)
            return BulkResult(automation_id, is_done=True, message=done.describe())
        except _FAULTS as error:
            return BulkResult(automation_id, is_done=False, message=str(error))

    def _find_fault(self, action: Action, automation: Automation, now: datetime) -> str | None:
        if not is_for(action, automation):
            wanted = "scheduled" if action is Action.PAUSE else "paused"
            return f"The automation is {automation.status}, not {wanted}: nothing to {action}."
        fatal = self.find_fatal(automation, now) if action is Action.RESUME else ()
        if fatal:
            return f"It would surely fail, so it stays paused. {fatal[0].message}"
        return None


def is_for(action: Action, automation: Automation) -> bool:
    """Return whether the action changes the automation; a draft is neither paused nor resumed."""
    return automation.is_scheduled if action is Action.PAUSE else automation.is_paused
