"""The answers to clients for our exceptions."""

from collections.abc import Mapping
from typing import Final

from chassis.csv_reader import CsvError
from chassis.postgres import DatabaseAwayError, ValueRefusedError
from chassis.problems import Problem
from push_blaster.adapters.audiences.script_folder import ScriptIdClashError, ScriptNotFoundError
from push_blaster.adapters.audiences.script_run_table import RunNotFoundError
from push_blaster.adapters.audiences.uploads import UploadGoneError
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentExistsError,
    DocumentNotFoundError,
    DocumentNotWrittenError,
    StaleVersionError,
)
from push_blaster.adapters.automations.template_files import SystemTemplateError
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.cadence.cadence_records import CadenceRefusedError
from push_blaster.adapters.executions.execution_view import (
    ExecutionNotFoundError,
    NewerExecutionError,
)
from push_blaster.adapters.original.original_files import NoOriginalError
from push_blaster.domain.access.token import SecretChangedError
from push_blaster.domain.audiences.script import ParametersError
from push_blaster.use_cases.access.manage_tokens import (
    BadTokenError,
    TokenExistsError,
    TokenNotFoundError,
)
from push_blaster.use_cases.audiences.try_script import CannotStopRunError, NoEngineError
from push_blaster.use_cases.automations.control_automation import NothingToDoError, NotPausedError
from push_blaster.use_cases.automations.put_away import IdTakenError, NotDeletedError
from push_blaster.use_cases.automations.restore_version import VersionNotFoundError
from push_blaster.use_cases.automations.start_from_template import LinkNotAllowedError
from push_blaster.use_cases.context import IdempotencyConflictError
from push_blaster.use_cases.devices.manage_test_devices import (
    NameTakenError,
    TestDeviceNotFoundError,
)
from push_blaster.use_cases.executions.approve_execution import CannotApproveError
from push_blaster.use_cases.executions.resume_execution import CannotResumeError
from push_blaster.use_cases.executions.start_execution import (
    AlreadyRunningError,
    ArchivedError,
    BadSlotError,
)
from push_blaster.use_cases.executions.stop_execution import CannotStopError
from push_blaster.use_cases.one_off.schedule_push import (
    AlreadySentError,
    BadScheduledPushError,
    PushHasBegunError,
)
from push_blaster.use_cases.one_off.send_ad_hoc import NoDryRunError
from push_blaster.use_cases.operations.dismiss_execution import NotTroubledError
from push_blaster.use_cases.operations.manage_destinations import (
    BadDestinationError,
    DestinationNotFoundError,
    StaleDestinationError,
)
from push_blaster.use_cases.original.control_sequence import CannotDeleteError, CannotPauseError
from push_blaster.use_cases.schedule.refuse_activation import WillFailError
from push_blaster.web.access.audit import NotAuditedError
from push_blaster.web.frame.repeatable import AnsweredBeforeError

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    AnsweredBeforeError: Problem(409, "Answered before"),
    AlreadyRunningError: Problem(409, "Already running"),
    AlreadySentError: Problem(400, "Sent already"),
    ArchivedError: Problem(409, "Archived"),
    BadScheduledPushError: Problem(400, "Cannot be scheduled"),
    BadTokenError: Problem(400, "No such token"),
    SecretChangedError: Problem(409, "Another secret"),
    StaleDestinationError: Problem(409, "Changed meanwhile"),
    TokenExistsError: Problem(409, "Name used before"),
    TokenNotFoundError: Problem(404, "No such token"),
    BadDestinationError: Problem(400, "No such destination"),
    DestinationNotFoundError: Problem(404, "No such destination"),
    BadSlotError: Problem(400, "No such send time"),
    BrokenDocumentError: Problem(409, "Broken file"),
    CadenceRefusedError: Problem(409, "Cadence refuses"),
    CadenceUnavailableError: Problem(503, "Cadence away"),
    CannotApproveError: Problem(409, "Cannot be approved"),
    CannotDeleteError: Problem(409, "Cannot be deleted"),
    CannotPauseError: Problem(409, "Cannot be paused"),
    CannotStopRunError: Problem(409, "Cannot be stopped"),
    CannotResumeError: Problem(409, "Cannot be resumed"),
    CannotStopError: Problem(409, "Cannot be stopped"),
    CsvError: Problem(400, "Unreadable CSV"),
    UploadGoneError: Problem(409, "Upload gone"),
    ValueRefusedError: Problem(400, "A value does not fit"),
    DatabaseAwayError: Problem(503, "Database away"),
    DocumentExistsError: Problem(409, "Exists already"),
    DocumentNotFoundError: Problem(404, "Not found"),
    DocumentNotWrittenError: Problem(503, "Not written"),
    ExecutionNotFoundError: Problem(404, "No such execution"),
    IdTakenError: Problem(409, "Id taken"),
    IdempotencyConflictError: Problem(422, "Idempotency key used before"),
    LinkNotAllowedError: Problem(422, "Deep link not allowed"),
    NameTakenError: Problem(409, "Name used before"),
    NewerExecutionError: Problem(409, "Written by a newer version"),
    NoDryRunError: Problem(409, "No dry run"),
    NoOriginalError: Problem(404, "Nothing to migrate"),
    NoEngineError: Problem(503, "No engine at work"),
    NotAuditedError: Problem(503, "Not audited"),
    NotDeletedError: Problem(404, "Not deleted"),
    NothingToDoError: Problem(409, "Nothing to do"),
    NotPausedError: Problem(503, "Not paused"),
    NotTroubledError: Problem(409, "Needs nobody"),
    PushHasBegunError: Problem(409, "Has begun"),
    ParametersError: Problem(422, "Parameters do not fit"),
    RunNotFoundError: Problem(404, "No such run"),
    ScriptIdClashError: Problem(409, "Several scripts of one id"),
    ScriptNotFoundError: Problem(404, "No such script"),
    StaleVersionError: Problem(409, "Changed meanwhile"),
    TestDeviceNotFoundError: Problem(404, "No such test device"),
    SystemTemplateError: Problem(409, "System template"),
    VersionNotFoundError: Problem(404, "No such version"),
    WillFailError: Problem(409, "Will surely fail"),
}
