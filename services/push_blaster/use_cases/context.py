"""The contexts of use cases, and the errors by which a step ends."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from chassis.clock import CLOCK
from chassis.postgres import Connection, Database, DatabaseAwayError
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.devices.device_source import DeviceSource
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.violation_table import insert_violation
from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.adapters.operations.execution_stops import has_stops, is_stopped
from push_blaster.adapters.transports.dry_run_transport import DryRunTransport
from push_blaster.adapters.transports.simulated_transport import SimulatedTransport
from push_blaster.domain.delivery.transport import PushTransport
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.modes import Mode, delivers, is_dry
from push_blaster.domain.executions.safeguards import Severity, Violation, ViolationType
from push_blaster.domain.operations.retention import KEPT

#: How idempotency keys begin that the system makes itself; no caller may bring such a key.
LIVE_KEY: Final = "live:"
SIMULATED_KEY: Final = "simulated:"
PAGE_KEY: Final = "page/"
#: How keys begin that test tokens bring, so that a rehearsal never stands for a live send.
TEST_KEY: Final = "test:"
#: How keys of callers begin that would look like one of these.
CALLER_KEY: Final = "caller:"
#: How keys begin that users bring with identity tokens, each user's apart from all others'.
USER_KEY: Final = "user:"
OWN_KEYS: Final = (LIVE_KEY, SIMULATED_KEY, PAGE_KEY, TEST_KEY, CALLER_KEY, USER_KEY)
#: How long a look at the database waits for the lock of another transaction.
LOCK_WAIT: Final = timedelta(milliseconds=200)


class StepFailedError(Exception):
    """The execution must end; the message says why, and how to repair it.

    Shape: `violation` is the finding of the safeguard that ended it, if one did.
    """

    def __init__(self, message: str, violation: Violation | None = None) -> None:
        """Take the message and the finding."""
        super().__init__(message)
        self.violation = violation


class StepStoppedError(Exception):
    """The step was stopped, another engine took it over, or its engine is shutting down."""


class Pacer(Protocol):
    """Keeps all senders of this process below the provider's quota."""

    def take(self, messages: int, should_stop: Callable[[], bool]) -> int:
        """Wait until some of `messages` may be sent, and return how many; 0 after a stop."""

    def note(self, succeeded: int, failed: int, over_quota: int) -> None:
        """Take the outcomes of messages: accepted, failed, over the provider's quota."""

    def note_sent(self) -> None:
        """Forget the fault: a message was sent."""

    def note_fault(self, reason: str, refused: int | None = None) -> None:
        """Take why none of the last messages was sent.

        Shape: the provider `refused` so many of them; None if no message can be sent.
        """

    def share(self, engines: int) -> None:
        """Take how many engines send; each gets an equal part of the rate."""

    def describe(self) -> Mapping[str, Any]:
        """Return the state for people, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What every step of an execution and every duty of the engine needs.

    Shape: `shift` takes the jumps of clocks out of a stamp, so that durations count no jump.
    """

    database: Database
    data_folder: Path
    limits: Limits
    clock: Callable[[], datetime]
    is_shutting_down: Callable[[], bool]
    shift: Callable[[datetime], datetime] = CLOCK.shift


@dataclass(frozen=True, slots=True, kw_only=True)
class SendContext(StepContext):
    """What a step needs in addition if it makes an audience, asks cadence or sends."""

    transport: PushTransport
    cadence: CadenceClient
    scripts: ScriptFolder
    pacer: Pacer
    engine_id: str = ""
    dry_run_transport: PushTransport = DryRunTransport()  # noqa: RUF009 - it holds nothing
    device_source: DeviceSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """What the use cases behind routes and pages need; none of it can send a push.

    Shape: `check_transport` raises TransportUnavailableError; if the transport `writes_to_file`,
    no message reaches a device. `alerts` sends test messages to destinations of alerts.
    """

    database: Database
    files: AutomationFiles
    scripts: ScriptFolder
    cadence: CadenceClient
    data_folder: Path
    limits: Limits
    device_source: DeviceSource | None
    check_transport: Callable[[], None]
    writes_to_file: bool = False
    versions_kept_for: timedelta = KEPT.versions
    alerts: AlertSender = AlertSender()  # noqa: RUF009 - it holds nothing


def fit_to_mode(context: SendContext, mode: Mode) -> SendContext:
    """Return the context for an execution of `mode`; its transport delivers only if `mode` does."""
    if delivers(mode):
        return context
    transport = context.dry_run_transport if is_dry(mode) else SimulatedTransport()
    return replace(context, transport=transport, pacer=_Unpaced())


class _Unpaced:
    """A pacer for executions that deliver nothing, and so use no quota."""

    def take(self, messages: int, should_stop: Callable[[], bool]) -> int:
        return 0 if should_stop() else messages

    def note(self, succeeded: int, failed: int, over_quota: int) -> None:
        """Do nothing: no message was delivered."""

    def note_sent(self) -> None:
        """Do nothing: no message was to be delivered."""

    def note_fault(self, reason: str, refused: int | None = None) -> None:
        """Do nothing: no message was to be delivered."""

    def share(self, engines: int) -> None:
        """Do nothing: there is no rate to share."""

    def describe(self) -> Mapping[str, Any]:
        return {}


def note(
    context: StepContext,
    execution_id: str,
    stage: str,
    message: str,
    level: LogLevel = LogLevel.INFO,
) -> None:
    """Write one event to the execution's log."""
    with context.database.transaction() as connection:
        append_log(connection, execution_id, stage, message, context.clock(), level)


def report(context: StepContext, execution: Execution, violation: Violation) -> None:
    """Record the finding of a safeguard once, for the log and for the contacts."""
    with context.database.transaction() as connection:
        report_within(connection, execution, violation, context.clock())


def report_within(
    connection: Connection, execution: Execution, violation: Violation, now: datetime
) -> None:
    """Record the finding of a safeguard as `report` does, within a transaction."""
    if insert_violation(connection, execution, violation, now):
        text, level = violation.message, LogLevel.WARNING
        append_log(connection, execution.id, "safeguards", text, now, level)


def report_shortage(
    context: StepContext, execution: Execution, shortage: str, until: datetime | None = None
) -> None:
    """Report once that the execution waits for something that its engine is short of."""
    limit = f" until {until:%Y-%m-%d %H:%M:%S} UTC at the latest" if until else ""
    text = f"The execution waits{limit}: {shortage}"
    kind, severity = ViolationType.OUT_OF_RESOURCES, Severity.WARNING
    report(context, execution, Violation(kind, severity, text))


def watch_for_stop(
    context: StepContext,
    execution_id: str | None,
    is_ours: Callable[[Connection], bool],
    every_s: float = 0.25,
) -> Callable[[], bool]:
    """Return a function that says whether to stop; it asks the database every `every_s` seconds.

    While the database is away, or somebody else has locked the rows that `is_ours` reads, nobody
    can have stopped the step, so it continues; a stop of `execution_id` waits for no lock.
    """
    asked_at = time.monotonic()
    stopped = False

    def should_stop() -> bool:
        nonlocal asked_at, stopped
        if stopped or context.is_shutting_down():
            return True
        now = time.monotonic()
        if now - asked_at >= every_s:
            asked_at = now
            stopped = not _ask(context.database, execution_id, is_ours)
        return stopped

    return should_stop


def _ask(
    database: Database, execution_id: str | None, is_ours: Callable[[Connection], bool]
) -> bool:
    try:
        with database.transaction(waits_for_locks=LOCK_WAIT) as connection:
            if execution_id is not None and has_stops(connection, [execution_id]):
                return False
            is_wanted = execution_id is None or not is_stopped(connection, execution_id)
            return is_wanted and is_ours(connection)
    except DatabaseAwayError:
        return True


def check_permission(connection: Connection, may_send: Callable[[Connection], bool]) -> None:
    """Raise StepStoppedError unless the step may go on; then nobody ends it in this transaction."""
    if not may_send(connection):
        raise StepStoppedError("the execution has ended, or another engine has taken over")


class IdempotencyConflictError(Exception):
    """The idempotency key was used before, for another request."""
