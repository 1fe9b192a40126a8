"""An execution: the one run of one slot of an automation, or of a manual start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.instants import read_instant
from push_blaster.domain.audiences.preparation import PreparationProgress
from push_blaster.domain.automations.automation import Automation, Push
from push_blaster.domain.automations.experiment import Variant, is_in_test
from push_blaster.domain.executions.decision import PushDecision
from push_blaster.domain.executions.modes import Mode, goes_to_audience
from push_blaster.domain.executions.phase import BEFORE_LIVE, ENDED, Phase


class Trigger(StrEnum):
    """The start of an execution: the clock, a person, and so on."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    AD_HOC = "ad_hoc"


class PushStatus(StrEnum):
    """The state of one push of an execution."""

    PENDING = "pending"
    AUDIENCE_READY = "audience_ready"
    TEST_SENT = "test_sent"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LogLevel(StrEnum):
    """How serious an event of an execution's log is."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAudience:
    """The frozen audience of one push: its file, its hash, and the counts of its rows.

    Shape: `file` is relative to the data folder; `bad_rows` holds the first of them.
    """

    file: str
    sha256: str
    columns: tuple[str, ...]
    source_file: str
    generated: int
    valid: int
    distinct: int
    bad_rows: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushProgress:
    """How far one push of an execution has come.

    Shape: if slots of the first batch were reserved before the push began, `slots_key` is their
    key, and `slots_for` is the instant at which the sends of the push then count. A push that has
    begun and is an experiment has a `decision`, made or to be made.
    """

    position: int
    status: PushStatus
    due_at: datetime | None = None
    started_at: datetime | None = None
    first_message_at: datetime | None = None
    ended_at: datetime | None = None
    audience: PushAudience | None = None
    forecast: Mapping[str, object] | None = None
    audience_check: Mapping[str, object] | None = None
    slots_key: str | None = None
    slots_for: datetime | None = None
    decision: PushDecision | None = None

    @property
    def announcement(self) -> str:
        """Return what the log says when the push begins."""
        users = self.audience.distinct if self.audience else 0
        return f"Push {self.position} goes out to an audience of {users}."

    @property
    def lateness(self) -> timedelta | None:
        """Return how long after its planned instant the first message went to the provider."""
        if self.first_message_at is None or self.due_at is None:
            return None
        return self.first_message_at - self.due_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution, with the automation as it was when it started.

    Shape: `attempt` counts the attempts at the present step, the last of them by the engine
    `attempt_by`; `repeated_steps` counts further attempts at any step. At `restored_at` a backup
    brought the execution back, and what it sent after the backup is unknown.
    """

    id: str
    automation: Automation
    mode: Mode
    trigger: Trigger
    slot: datetime
    begins_at: datetime
    phase: Phase
    fence: int
    created_at: datetime
    number: int = 0
    due_at: datetime | None = None
    live_at: datetime | None = None
    ended_at: datetime | None = None
    stop_asked_at: datetime | None = None
    restored_at: datetime | None = None
    failures: int = 0
    reason: str | None = None
    waits_for: str | None = None
    approval_reason: str | None = None
    uncapped_reason: str | None = None
    resumes: str | None = None
    attempt: int = 0
    attempt_by: str | None = None
    repeated_steps: int = 0
    preparation: PreparationProgress | None = None
    pushes: tuple[PushProgress, ...] = ()

    @property
    def sequence(self) -> tuple[Push, ...]:
        """Return the pushes as they are sent: only a live execution waits for winners."""
        pushes = self.automation.pushes
        if self.mode is Mode.LIVE:
            return pushes
        return tuple(replace(push, experiment=None) for push in pushes)

    def find_winner(self, position: int) -> Variant | None:
        """Return the variant for the users who do not test a push; None if they get nothing."""
        decision = self.pushes[position - 1].decision
        variants = self.automation.pushes[position - 1].variants
        return next((v for v in variants if decision and v.id == decision.variant), None)

    def gets_winner(self, position: int, user_id: UUID) -> bool:
        """Return whether a push is an experiment, and the user does not test its variants."""
        push, decision = self.automation.pushes[position - 1], self.pushes[position - 1].decision
        if decision is None or push.experiment is None:
            return False
        return not is_in_test(push.experiment, self.automation.id, push.id, decision.draw, user_id)

    def word_push(self, position: int, user_id: UUID) -> Push:
        """Return a push with the texts for a user; with its variants, if the user tests them."""
        push = self.automation.pushes[position - 1]
        if not goes_to_audience(self.mode):
            return push.worded(None)
        gets_winner = self.gets_winner(position, user_id)
        return push.worded(self.find_winner(position)) if gets_winner else push

    def with_push(self, changed: PushProgress) -> "Execution":
        """Return the execution with this push in the place of the one at its position."""
        pushes = (changed if one.position == changed.position else one for one in self.pushes)
        return replace(self, pushes=tuple(pushes))

    @property
    def has_ended(self) -> bool:
        """Whether the execution has ended for good."""
        return self.phase in ENDED

    @property
    def status(self) -> str:
        """Return `running`, or how it ended."""
        return self.phase if self.has_ended else "running"

    @property
    def is_simulation(self) -> bool:
        """Whether the execution takes every step, and delivers nothing."""
        return self.mode is Mode.SIMULATION

    @property
    def is_uncapped(self) -> bool:
        """Whether a push of the execution went out without its cap check."""
        return self.uncapped_reason is not None

    @property
    def can_cancel(self) -> bool:
        """Whether the execution is not live yet, so that a cancel stops all of it."""
        return self.phase in BEFORE_LIVE and not self.is_stopping

    @property
    def can_stop(self) -> bool:
        """Whether there is anything to stop."""
        return not self.has_ended and not self.is_stopping

    @property
    def is_stopping(self) -> bool:
        """Whether the execution is stopped, and another transaction still holds its row."""
        return self.stop_asked_at is not None and not self.has_ended

    @property
    def waits_for_approval(self) -> bool:
        """Whether the execution goes live only if an operator approves, or has approved, it."""
        return self.approval_reason is not None and self.phase is Phase.CANCELLATION_WINDOW

    @property
    def can_resume(self) -> bool:
        """Whether this is a live send that ended early, so that users may be left."""
        ended_early = self.phase in {Phase.CANCELLED, Phase.FAILED}
        has_begun = any(push.started_at for push in self.pushes)
        return self.mode is Mode.LIVE and ended_early and has_begun


def execution_id(
    automation_id: str, slot: datetime, mode: Mode = Mode.LIVE, generation: int = 1
) -> str:
    """Return the id of the execution of `slot`: the same slot is the same execution.

    A test of a slot never takes the place of its live execution, so its mode is in its id. The
    first generation of an automation is not named.
    """
    instant = slot.astimezone(UTC)
    fraction = f".{instant.microsecond:06d}" if instant.microsecond else ""
    suffix = "" if generation == 1 else f"-g{generation}"
    suffix += "" if mode is Mode.LIVE else f"-{mode}"
    return f"{automation_id}@{instant:%Y%m%dT%H%M%S}{fraction}Z{suffix}"


def read_execution_id(id_: str) -> tuple[str, datetime | None]:
    """Return the automation and the slot of an execution's id; None if the id names no slot."""
    found = re.fullmatch(r"(.+)@(\d{8}T\d{6}(?:\.\d+)?Z).*", id_)
    try:
        return (found[1], read_instant(found[2])) if found else (id_, None)
    except ValueError:
        return id_, None
