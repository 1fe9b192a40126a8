"""The modes of an execution: they differ in audience, transport and end.

| mode                | goes to                | delivers | phases after the audience              |
|---------------------|------------------------|----------|----------------------------------------|
| live                | the audience           | yes      | test, window, live at T                |
| test-scheduled-send | test users, as layer 4 | yes      | test, window, live at T; all shortened |
| test-live-send      | test users, as layer 4 | yes      | test                                   |
| test-dry-run        | test users             | no       | test                                   |
| real-dry-run        | the audience           | no       | live, at once                          |
| simulation          | the audience           | no       | test, window, live at T                |

A simulation takes every step of a live execution, with a transport that answers like a provider and
delivers nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from push_blaster.domain.executions.phase import Phase


class Mode(StrEnum):
    """How far an execution goes, which users it reaches, and whether messages leave the machine."""

    LIVE = "live"
    TEST_SCHEDULED_SEND = "test-scheduled-send"
    TEST_LIVE_SEND = "test-live-send"
    TEST_DRY_RUN = "test-dry-run"
    REAL_DRY_RUN = "real-dry-run"
    SIMULATION = "simulation"


#: The modes that try an automation out; none of them reaches its audience.
TEST_MODES: Final = frozenset(Mode) - {Mode.LIVE}

_DRY: Final = frozenset({Mode.TEST_DRY_RUN, Mode.REAL_DRY_RUN})
#: The mode that a caller gets who may only simulate.
_SIMULATED: Final[Mapping[Mode, Mode]] = {
    Mode.LIVE: Mode.SIMULATION,
    Mode.TEST_LIVE_SEND: Mode.TEST_DRY_RUN,
    Mode.TEST_SCHEDULED_SEND: Mode.SIMULATION,
}
_TEST_ONLY: Final = frozenset({Mode.TEST_DRY_RUN, Mode.TEST_LIVE_SEND})

_WHOLE_PATH: Final[Mapping[Phase, Phase]] = {
    Phase.WAITING: Phase.AUDIENCE_GENERATION,
    Phase.AUDIENCE_GENERATION: Phase.TEST_SENDING,
    Phase.TEST_SENDING: Phase.CANCELLATION_WINDOW,
    Phase.CANCELLATION_WINDOW: Phase.LIVE_EXECUTION,
    Phase.LIVE_EXECUTION: Phase.COMPLETED,
}


def delivers(mode: Mode) -> bool:
    """Return whether messages leave the machine."""
    return mode not in _DRY and mode is not Mode.SIMULATION


def is_dry(mode: Mode) -> bool:
    """Return whether messages are only tried out, and have no outcome."""
    return mode in _DRY


def walks_as_live(mode: Mode) -> bool:
    """Return whether the execution waits for everything that a live one waits for."""
    return mode in {Mode.LIVE, Mode.SIMULATION}


def simulate(mode: Mode) -> Mode:
    """Return the mode that does the same as `mode`, without any message leaving the machine."""
    return _SIMULATED.get(mode, mode)


def goes_to_audience(mode: Mode) -> bool:
    """Return whether the execution sends to the audience, and not to test users."""
    return mode in {Mode.LIVE, Mode.REAL_DRY_RUN, Mode.SIMULATION}


def is_test_only(mode: Mode) -> bool:
    """Return whether the execution ends with its test, so that the test must reach somebody."""
    return mode in _TEST_ONLY


def next_phase(mode: Mode, phase: Phase) -> Phase:
    """Return the phase that follows if nothing fails."""
    if phase is Phase.TEST_SENDING and is_test_only(mode):
        return Phase.COMPLETED
    if phase is Phase.AUDIENCE_GENERATION and mode is Mode.REAL_DRY_RUN:
        return Phase.LIVE_EXECUTION
    return _WHOLE_PATH[phase]
