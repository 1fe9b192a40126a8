"""Filters of lists: executions by automation, mode, result and day."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from push_blaster.domain.executions.modes import Mode, delivers, is_dry
from push_blaster.domain.executions.phase import RUNNING, Phase


class ModeChoice(StrEnum):
    """The modes that a list can be limited to: all tests, all dry runs, or one mode."""

    LIVE = "live"
    TEST = "test"
    DRY_RUN = "dry-run"
    SIMULATION = "simulation"
    TEST_SCHEDULED_SEND = "test-scheduled-send"
    TEST_LIVE_SEND = "test-live-send"
    TEST_DRY_RUN = "test-dry-run"
    REAL_DRY_RUN = "real-dry-run"


class Result(StrEnum):
    """The result of an execution: the way in which it ended, or that it still runs."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MISSED = "missed"
    SKIPPED = "skipped"


#: The choices that stand for several modes; pages offer these and `simulation`.
_GROUPS: Final[Mapping[ModeChoice, frozenset[Mode]]] = {
    ModeChoice.TEST: frozenset(one for one in Mode if delivers(one) and one is not Mode.LIVE),
    ModeChoice.DRY_RUN: frozenset(one for one in Mode if is_dry(one)),
}


def find_modes(choices: Iterable[ModeChoice]) -> frozenset[Mode]:
    """Return the modes of the choices; every mode if nothing is chosen."""
    chosen = [_GROUPS.get(one) or {Mode(one.value)} for one in choices]
    return frozenset().union(*chosen) if chosen else frozenset(Mode)


def find_choice(mode: Mode) -> ModeChoice:
    """Return the choice under which pages count the mode."""
    return next((one for one, modes in _GROUPS.items() if mode in modes), ModeChoice(mode.value))


def find_phases(results: Iterable[Result]) -> frozenset[Phase]:
    """Return the phases of the results; every phase if nothing is chosen."""
    chosen = [RUNNING if one is Result.RUNNING else {Phase(one.value)} for one in results]
    return frozenset().union(*chosen) if chosen else frozenset(Phase)


def find_result(phase: Phase) -> Result:
    """Return the result of an execution that is in the phase."""
    return Result.RUNNING if phase in RUNNING else Result(phase.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """The executions that a list shows; the default is all of them.

    Shape: `since` is included and `until` is not; both compare with the live send time, T.
    """

    automation_id: str | None = None
    phases: Collection[Phase] = frozenset(Phase)
    modes: Collection[Mode] = frozenset(Mode)
    since: datetime | None = None
    until: datetime | None = None


#: Every execution.
EVERYTHING: Final = ExecutionFilter()
