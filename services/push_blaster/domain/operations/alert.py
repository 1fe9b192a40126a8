"""What people are alerted of while executions run."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from push_blaster.domain.executions.phase import Phase


class AlertEvent(StrEnum):
    """What became of an execution, in the words of the setting PUSH_ALERT_ON."""

    START = "start"
    COMPLETION = "completion"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    FAIL_OPEN = "fail_open"
    MISSED = "missed"
    SKIPPED = "skipped"


#: What is told of unless a setting says otherwise: what somebody may have to do something about.
USUAL: Final = frozenset(AlertEvent) - {AlertEvent.START, AlertEvent.COMPLETION}

#: The event that an execution's entering a phase is; the other phases are none.
EVENT_OF: Final[Mapping[Phase, AlertEvent]] = {
    Phase.AUDIENCE_GENERATION: AlertEvent.START,
    Phase.COMPLETED: AlertEvent.COMPLETION,
    Phase.FAILED: AlertEvent.FAILURE,
    Phase.CANCELLED: AlertEvent.CANCELLED,
    Phase.MISSED: AlertEvent.MISSED,
    Phase.SKIPPED: AlertEvent.SKIPPED,
}
