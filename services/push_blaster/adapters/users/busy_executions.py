"""Executions that still need what names a user: under way, or awaited by cadence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.users.erasure import Traces

#: How long a request for an erasure may be on its way. An execution that begins meanwhile may send
#: to the user.
SEEN_WITHIN: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class BusyExecution:
    """An execution whose rows and files must stay as they are.

    Shape: `folders` are the executions whose files it uses. It `names_user` if a row of it says so;
    a file may say so, too. An execution that `began_later` than the erasure keeps nobody waiting.
    """

    id: str
    folders: Sequence[str]
    began_later: bool
    names_user: bool


def select_busy(connection: Connection, traces: Traces, asked_at: datetime) -> list[BusyExecution]:
    """Return the executions that are busy now."""
    seen_at = asked_at + SEEN_WITHIN
    values = {"user": traces.user_id, "pattern": traces.pattern, "seen_at": seen_at}
    return fetch_all(connection, _BUSY, values, make=BusyExecution)


#: Sends of the user that cadence does not know yet: it will be told of them under the user's id.
_UNTRACKED: Final = """
    SELECT d.execution_id
      FROM deliveries d
      LEFT JOIN send_batches b ON NOT d.is_test AND b.execution_id = d.execution_id
           AND b.position = d.position AND b.batch = d.batch
     WHERE d.user_id = %(user)s AND d.state IN ('sent', 'in_doubt')
       AND ((d.is_test AND d.tracked_at IS NULL)
            OR (b.done_at IS NOT NULL AND b.tracked_at IS NULL))
"""
_BUSY: Final = f"""
    WITH untracked AS ({_UNTRACKED})
    SELECT e.id,
           ARRAY(SELECT e.id UNION SELECT e.resumes WHERE e.resumes IS NOT NULL
                  UNION SELECT split_part(p.audience_file, '/', 2) FROM execution_pushes p
                         WHERE p.execution_id = e.id AND p.audience_file IS NOT NULL),
           e.created_at > %(seen_at)s AND e.resumes IS NULL,
           e.phase IN ('{Phase.WAITING}', '{Phase.AUDIENCE_GENERATION}')
           OR e.snapshot::text ~* %(pattern)s
           OR EXISTS (SELECT FROM deliveries d
                       WHERE d.user_id = %(user)s AND d.execution_id = e.id)
           OR EXISTS (SELECT FROM testers t
                       WHERE t.user_id = %(user)s AND t.execution_id = e.id)
      FROM executions e
     WHERE e.ended_at IS NULL
        OR e.id IN (SELECT execution_id FROM send_batches WHERE done_at IS NULL AND fence > 0)
        OR e.id IN (SELECT execution_id FROM untracked)
     ORDER BY e.id
"""  # noqa: S608 - constants
