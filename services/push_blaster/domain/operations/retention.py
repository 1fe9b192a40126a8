"""Retention: how long records are kept."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: The least retention of the audit log; the database refuses to delete younger entries.
MIN_AUDIT: Final = timedelta(days=365)
#: The least retention of events: they come for a month, and go by whole weeks.
MIN_EVENTS: Final = timedelta(days=45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long each kind of record is kept; the counters of results at least as long as events."""

    executions: timedelta = timedelta(days=180)
    audiences: timedelta = timedelta(days=30)
    dead_devices: timedelta = timedelta(days=180)
    audit_log: timedelta = timedelta(days=1_095)
    versions: timedelta = timedelta(days=365)
    events: timedelta = timedelta(days=90)
    results: timedelta = timedelta(days=1_095)


#: The retention unless settings say otherwise.
KEPT: Final = Retention()
