"""The table `schedule_marks`: the clock's memory of which slots have been decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.postgres import Connection


@dataclass(frozen=True, slots=True)
class ScheduleMark:
    """Up to which slot the schedule with this fingerprint has been decided."""

    fingerprint: str
    decided_until: datetime


def select_marks(connection: Connection, automation_ids: Sequence[str]) -> dict[str, ScheduleMark]:
    """Return the marks of those of the automations that the clock has seen."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT automation_id, fingerprint, decided_until
              FROM schedule_marks
             WHERE automation_id = ANY(%(ids)s)
            """,
            {"ids": list(automation_ids)},
        )
        return {row[0]: ScheduleMark(row[1], row[2]) for row in cursor}


def save_mark(connection: Connection, automation_id: str, mark: ScheduleMark) -> None:
    """Write the mark; with the same fingerprint it only ever moves forward."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO schedule_marks AS m (automation_id, fingerprint, decided_until)
            VALUES (%(id)s, %(fingerprint)s, %(until)s)
                ON CONFLICT (automation_id) DO UPDATE
               SET fingerprint = EXCLUDED.fingerprint,
                   decided_until = CASE WHEN m.fingerprint = EXCLUDED.fingerprint
                                        THEN greatest(m.decided_until, EXCLUDED.decided_until)
                                        ELSE EXCLUDED.decided_until END
            """,
            {"id": automation_id, "fingerprint": mark.fingerprint, "until": mark.decided_until},
        )
