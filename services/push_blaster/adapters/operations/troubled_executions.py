"""Live executions that need a person, and the table `dismissals` of those that need none any more.

A dismissal is of one end of one execution: if the execution, or a later one of the automation,
fails anew, the automation needs a person again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all

#: How long an automation counts as troubled after its last run failed.
TROUBLE_LASTS: Final = timedelta(days=7)
#: The condition that a row of `executions e` went wrong.
_WENT_WRONG: Final = """
    e.mode = 'live'
    AND (e.phase IN ('failed', 'missed') OR e.uncapped_reason IS NOT NULL
         OR (e.phase = 'skipped' AND e.approval_reason IS NOT NULL))
"""
#: The condition that the row `d` of `dismissals` is of this end of `e`, or of one that went well.
_IS_DISMISSED: Final = """
    d.execution_id IS NOT NULL
    AND (d.ended_at IS NOT DISTINCT FROM e.ended_at
         OR (d.ended_at IS NULL AND e.phase = 'completed'))
"""

#: The condition that people have archived or deleted the automation of `e`.
_IS_PUT_AWAY: Final = """
    EXISTS (SELECT FROM automation_versions v
             WHERE v.automation_id = e.automation_id AND v.is_newest
               AND (v.kind = 'deleted' OR v.document ->> 'isArchived' = 'true'))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubledAutomation:
    """An automation, or a one-off send, whose last live run went wrong.

    It failed, was missed, went out unchecked, or nobody approved it. If a person has dismissed it,
    `note`, `dismissed_by` and `dismissed_at` are set.
    """

    automation_id: str
    automation_name: str
    execution_id: str
    phase: str
    reason: str | None
    uncapped_reason: str | None
    trigger: str
    at: datetime
    note: str | None
    dismissed_by: str | None
    dismissed_at: datetime | None


def select_troubled(
    connection: Connection, since: datetime, limit: int, *, dismissed: bool = False
) -> list[TroubledAutomation]:
    """Return automations whose last live run after `since` went wrong, the newest first.

    Those that people have archived or deleted need nobody.
    """
    sql = f"""
        SELECT e.automation_id, e.automation_name, e.id AS execution_id, e.phase, e.reason,
               e.uncapped_reason, e.trigger, coalesce(e.ended_at, e.slot) AS at,
               d.note, d.by AS dismissed_by, d.at AS dismissed_at
          FROM executions e
          LEFT JOIN dismissals d ON d.execution_id = e.id AND {_IS_DISMISSED}
         WHERE {_WENT_WRONG} AND e.created_at >= %(since)s
           AND (d.execution_id IS NOT NULL) = %(dismissed)s AND NOT {_IS_PUT_AWAY}
           AND NOT EXISTS (
               SELECT FROM executions later
                WHERE later.automation_id = e.automation_id AND later.slot > e.slot
                  AND later.mode = 'live'
                  AND (later.phase IN ('completed', 'failed', 'missed')
                       OR (later.phase = 'skipped' AND later.approval_reason IS NOT NULL)))
         ORDER BY e.created_at DESC
         LIMIT %(limit)s
    """  # noqa: S608 - constants
    values = {"since": since, "limit": limit, "dismissed": dismissed}
    return fetch_all(connection, sql, values, make=TroubledAutomation, by_name=True)


def insert_dismissal(
    connection: Connection, execution_id: str, note: str, by: str, now: datetime
) -> bool:
    """Dismiss an execution that went wrong; False if it did not. A later note replaces a note."""
    sql = f"""
        INSERT INTO dismissals
        SELECT e.id, e.ended_at, %(note)s, %(by)s, %(now)s
          FROM executions e
         WHERE e.id = %(id)s AND {_WENT_WRONG}
            ON CONFLICT (execution_id) DO UPDATE
           SET ended_at = excluded.ended_at, note = excluded.note, by = excluded.by,
               at = excluded.at
    """  # noqa: S608 - a constant
    return execute(connection, sql, {"id": execution_id, "note": note, "by": by, "now": now}) == 1


def delete_dismissal(connection: Connection, execution_id: str) -> None:
    """Let the execution need a person again; safe to repeat."""
    execute(connection, "DELETE FROM dismissals WHERE execution_id = %s", (execution_id,))
