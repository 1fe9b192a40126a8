"""The table `schedule_marks`: up to which slot the clock has decided each schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all


@dataclass(frozen=True, slots=True)
class ScheduleMark:
    """The slots of the schedule with this fingerprint are decided up to `decided_until`.

    Shape: an automation that was deleted and made anew is the next `generation` of its id.
    """

    fingerprint: str
    decided_until: datetime
    generation: int = 1


def select_marks(
    connection: Connection, automation_ids: Sequence[str] | None = None
) -> dict[str, ScheduleMark]:
    """Return the marks by automation: of all automations, or of `automation_ids`."""
    sql = """
        SELECT automation_id, fingerprint, decided_until, generation
          FROM schedule_marks
         WHERE %(ids)s::text[] IS NULL OR automation_id = ANY(%(ids)s::text[])
    """
    rows = fetch_all(
        connection, sql, {"ids": automation_ids if automation_ids is None else list(automation_ids)}
    )
    return {automation_id: ScheduleMark(*mark) for automation_id, *mark in rows}


def save_mark(connection: Connection, automation_id: str, mark: ScheduleMark) -> None:
    """Save the mark; with the same fingerprint it only moves forward."""
    sql = """
        INSERT INTO schedule_marks AS m (automation_id, fingerprint, decided_until)
        VALUES (%(id)s, %(fingerprint)s, %(until)s)
            ON CONFLICT (automation_id) DO UPDATE
           SET fingerprint = EXCLUDED.fingerprint,
               decided_until = CASE WHEN m.fingerprint = EXCLUDED.fingerprint
                                    THEN greatest(m.decided_until, EXCLUDED.decided_until)
                                    ELSE EXCLUDED.decided_until END
    """
    execute(
        connection,
        sql,
        {"id": automation_id, "fingerprint": mark.fingerprint, "until": mark.decided_until},
    )


def begin_generation(connection: Connection, automation_id: str) -> None:
    """Give the next automation with this id slots of its own."""
    sql = """
        UPDATE schedule_marks SET generation = generation + 1, fingerprint = ''
         WHERE automation_id = %s
    """
    execute(connection, sql, (automation_id,))


def return_to_generation(connection: Connection, automation_id: str, generation: int) -> None:
    """Give an automation that comes back the slots that were its own."""
    sql = "UPDATE schedule_marks SET generation = %s WHERE automation_id = %s"
    execute(connection, sql, (generation, automation_id))


def select_generations(connection: Connection, automation_ids: Sequence[str]) -> dict[str, int]:
    """Return the present generation of each automation."""
    marks = select_marks(connection, automation_ids)
    return {id_: marks[id_].generation if id_ in marks else 1 for id_ in automation_ids}
