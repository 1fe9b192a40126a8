"""How our exceptions are told to clients."""

from collections.abc import Mapping
from typing import Final

from chassis.postgres import DatabaseAwayError, ValueRefusedError
from chassis.problems import Problem
from push_blaster.adapters.automation_files import (
    AutomationExistsError,
    AutomationNotFoundError,
    BrokenAutomationError,
    StaleVersionError,
)
from push_blaster.adapters.cadence_client import CadenceUnavailableError
from push_blaster.adapters.execution_view import ExecutionNotFoundError
from push_blaster.adapters.script_folder import ScriptNotFoundError
from push_blaster.use_cases.approve_execution import CannotApproveError
from push_blaster.use_cases.control_automation import NothingToDoError
from push_blaster.use_cases.start_execution import (
    AlreadyRunningError,
    BadSlotError,
    IdempotencyConflictError,
)
from push_blaster.use_cases.stop_execution import CannotStopError

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    AlreadyRunningError: Problem(409, "Already running"),
    AutomationExistsError: Problem(409, "Automation exists"),
    AutomationNotFoundError: Problem(404, "No such automation"),
    BadSlotError: Problem(400, "No such send time"),
    BrokenAutomationError: Problem(409, "Broken automation file"),
    CadenceUnavailableError: Problem(503, "Cadence away"),
    CannotApproveError: Problem(409, "Cannot be approved"),
    CannotStopError: Problem(409, "Cannot be stopped"),
    ValueRefusedError: Problem(400, "A value does not fit"),
    DatabaseAwayError: Problem(503, "Database away"),
    ExecutionNotFoundError: Problem(404, "No such execution"),
    IdempotencyConflictError: Problem(422, "Idempotency key used before"),
    NothingToDoError: Problem(409, "Nothing to do"),
    ScriptNotFoundError: Problem(404, "No such script"),
    StaleVersionError: Problem(409, "Changed meanwhile"),
}
