"""A run of an audience script: for an execution, or as a trial that sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from signal import Signals
from uuid import UUID


class RunState(StrEnum):
    """The state of a run; a trial waits for an engine first."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAudience:
    """A CSV file that a script wrote.

    Shape: `sample` holds its first usable rows; `problem` says why it is no audience, or is None;
    `note` is what people should know about the file, or empty.
    """

    name: str
    file: str
    is_test: bool
    rows: int = 0
    valid: int = 0
    columns: tuple[str, ...] = ()
    sample: Sequence[Mapping[str, str]] = ()
    problem: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The record of one run of a script.

    Shape: `execution_id` is the execution that needed it, or the name given to a trial; `folder`,
    relative to the data folder, is where it wrote. A negative `exit_code` is a signal.
    `engine_id` is the engine that runs it.
    """

    id: UUID
    script_id: str
    execution_id: str | None
    is_trial: bool
    parameters: Mapping[str, str]
    folder: str
    state: RunState
    asked_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    error: str | None = None
    audiences: tuple[FoundAudience, ...] = ()
    engine_id: str | None = None

    @property
    def log_id(self) -> str:
        """The id of its log: that of the execution, or its own."""
        return str(self.id) if self.is_trial or self.execution_id is None else self.execution_id

    @property
    def signal(self) -> str | None:
        """The signal that ended its script, if one did."""
        code = self.exit_code
        return Signals(-code).name if code is not None and code < 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended."""

    state: RunState
    exit_code: int | None = None
    error: str | None = None
    audiences: tuple[FoundAudience, ...] = ()
