"""A live send that has a user in its audience and did not come to the user."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from push_blaster.domain.executions.phase import Phase

_WHY: Final[Mapping[Phase, str]] = {
    Phase.LIVE_EXECUTION: "is being sent, and has not come to the user yet",
    Phase.CANCELLED: "was stopped before it came to the user",
    Phase.FAILED: "failed before it came to the user",
}


class MissedSend(NamedTuple):
    """A push of an execution, the phase that it is in, and when it went live or was to."""

    automation_name: str
    position: int
    phase: Phase
    at: datetime

    def explain(self) -> str:
        """Return why the user has no message, as a sentence."""
        at = self.at.isoformat(timespec="seconds")
        return f"Push {self.position} of {self.automation_name} of {at} {_WHY[self.phase]}."
