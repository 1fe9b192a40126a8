"""Reading what engines have written down: that they live, and what the clock has decided."""

from dataclasses import dataclass
from datetime import datetime

from chassis.postgres import Connection
from push_blaster.adapters.schedule.schedule_marks import ScheduleMark


@dataclass(frozen=True, slots=True)
class EngineSeen:
    """An engine process: when it began, and when it was last at work."""

    id: str
    started_at: datetime
    seen_at: datetime


def select_engines_seen(connection: Connection) -> list[EngineSeen]:
    """Return every engine that is remembered, the newest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, started_at, seen_at FROM engines ORDER BY started_at DESC, id")
        return [EngineSeen(*row) for row in cursor]


def select_all_marks(connection: Connection) -> dict[str, ScheduleMark]:
    """Return what the clock has decided of each automation that it ever watched."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT automation_id, fingerprint, decided_until FROM schedule_marks")
        return {row[0]: ScheduleMark(row[1], row[2]) for row in cursor}
