"""An execution: the one run of one slot of an automation, or of a manual start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from push_blaster.domain.automation import Automation


class Phase(StrEnum):
    """Where an execution stands."""

    WAITING = "waiting"
    AUDIENCE_GENERATION = "audience_generation"
    TEST_SENDING = "test_sending"
    CANCELLATION_WINDOW = "cancellation_window"
    LIVE_EXECUTION = "live_execution"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MISSED = "missed"
    SKIPPED = "skipped"


#: The phases that nothing follows.
ENDED: Final = frozenset(
    {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.MISSED, Phase.SKIPPED}
)

#: The phases in which a live send has not begun, so that a cancel is enough to stop all of it.
BEFORE_LIVE: Final = frozenset(
    {
        Phase.WAITING,
        Phase.AUDIENCE_GENERATION,
        Phase.TEST_SENDING,
        Phase.CANCELLATION_WINDOW,
    }
)


class Mode(StrEnum):
    """How far an execution goes, and with which transport."""

    LIVE = "live"


class Trigger(StrEnum):
    """What started an execution."""

    SCHEDULE = "schedule"
    MANUAL = "manual"


class PushStatus(StrEnum):
    """Where one push of an execution stands."""

    PENDING = "pending"
    AUDIENCE_READY = "audience_ready"
    TEST_SENT = "test_sent"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LogLevel(StrEnum):
    """How an event of an execution's log is to be read."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAudience:
    """The frozen audience of one push: where it lies, its hash, and how it came to its size.

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
    """How far one push of an execution has come."""

    position: int
    status: PushStatus
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    audience: PushAudience | None = None
    funnel: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution, with the automation as it was when it started."""

    id: str
    automation: Automation
    mode: Mode
    trigger: Trigger
    slot: datetime
    begins_at: datetime
    phase: Phase
    fence: int
    created_at: datetime
    due_at: datetime | None = None
    live_at: datetime | None = None
    ended_at: datetime | None = None
    failures: int = 0
    reason: str | None = None
    uncapped_reason: str | None = None
    pushes: tuple[PushProgress, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.phase in ENDED


def execution_id(automation_id: str, slot: datetime) -> str:
    """Return the id of the execution of `slot`: the same slot is the same execution."""
    instant = slot.astimezone(UTC)
    fraction = f".{instant.microsecond:06d}" if instant.microsecond else ""
    return f"{automation_id}@{instant:%Y%m%dT%H%M%S}{fraction}Z"
