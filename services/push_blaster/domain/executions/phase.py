"""The phases of an execution."""

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """The phase that an execution is in."""

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

    @property
    def announcement(self) -> str:
        """Return what the log says when the phase begins."""
        return f"{self.replace('_', ' ').capitalize()} begins."


#: The last phases.
ENDED: Final = frozenset(
    {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.MISSED, Phase.SKIPPED}
)

#: The phases of an execution that has not ended.
RUNNING: Final = frozenset(Phase) - ENDED

#: The phases whose steps are short and must begin on time: from the window to the last message.
GOING_LIVE: Final = frozenset({Phase.CANCELLATION_WINDOW, Phase.LIVE_EXECUTION})

#: The phases in which an execution is prepared, which may take minutes.
PREPARING: Final = RUNNING - GOING_LIVE

#: The phases before the live send, in which a cancel stops everything.
BEFORE_LIVE: Final = RUNNING - {Phase.LIVE_EXECUTION}
