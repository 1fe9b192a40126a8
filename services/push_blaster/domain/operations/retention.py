"""How long what has happened is kept."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: Whatever is asked for: the database itself refuses to delete a change that is younger.
LEAST_AUDIT: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long executions are kept, what they were sent from, dead devices, and the audit log."""

    executions: timedelta = timedelta(days=180)
    audiences: timedelta = timedelta(days=30)
    dead_devices: timedelta = timedelta(days=180)
    audit_log: timedelta = timedelta(days=1_095)


#: What holds unless it is set otherwise.
KEPT: Final = Retention()
