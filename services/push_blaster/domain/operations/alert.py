"""Alerts about executions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.phase import Phase


class AlertEvent(StrEnum):
    """An event of an execution, in the words of the setting PUSH_ALERT_ON."""

    START = "start"
    COMPLETION = "completion"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    FAIL_OPEN = "fail_open"
    MISSED = "missed"
    SKIPPED = "skipped"


#: The events that are notified by default: those after which somebody may have to act.
USUAL: Final = frozenset(AlertEvent) - {AlertEvent.START, AlertEvent.COMPLETION}

#: The event of entering a phase; the other phases have none.
EVENT_OF: Final[Mapping[Phase, AlertEvent]] = {
    Phase.AUDIENCE_GENERATION: AlertEvent.START,
    Phase.COMPLETED: AlertEvent.COMPLETION,
    Phase.FAILED: AlertEvent.FAILURE,
    Phase.CANCELLED: AlertEvent.CANCELLED,
    Phase.MISSED: AlertEvent.MISSED,
    Phase.SKIPPED: AlertEvent.SKIPPED,
}


class NoticeTable(StrEnum):
    """The table that keeps a notice until it is sent."""

    ALERTS = "alerts"
    VIOLATIONS = "violations"


#: The events after which an execution changes no more; only their alerts have figures.
ENDS: Final = frozenset({AlertEvent.COMPLETION, AlertEvent.FAILURE, AlertEvent.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice for people: an alert about an execution, or a safeguard's finding.

    What it says was true at `at`, when it was raised; only figures of an execution that has ended
    are read later. Shape: `kind` is the alert's event, or the violation's type; `severity` and
    `message` belong to violations.
    """

    table: NoticeTable
    id: str
    kind: str
    severity: str | None
    message: str | None
    at: datetime
    execution_id: str
    automation_id: str
    automation_name: str
    mode: str
    trigger: str
    slot: datetime
    reason: str | None
    contacts: tuple[str, ...]
    funnels: tuple[Funnel, ...] = ()
