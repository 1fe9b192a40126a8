"""The table `suspensions`: cancelled executions that begin again if their automation is on in time.

A person's cancel is for good. What a pause, a file or a changed schedule has cancelled comes back.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all
from push_blaster.adapters.operations.execution_stops import NOT_STOPPED
from push_blaster.domain.executions.execution import Trigger
from push_blaster.domain.executions.phase import Phase

#: A suspension is deleted this long after its slot; no grace period is longer.
OVER: Final = timedelta(days=7)
#: No execution is opened longer than this before its slot.
LONGEST_LEAD: Final = timedelta(days=1, hours=1)


class Suspended(NamedTuple):
    """A suspended execution: its id, its automation and its slot."""

    id: str
    automation_id: str
    slot: datetime


def insert_suspensions(connection: Connection, execution_ids: Sequence[str]) -> None:
    """Let stopped executions come back with their automation."""
    sql = "INSERT INTO suspensions SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
    execute(connection, sql, (list(execution_ids),))


def delete_suspensions(
    connection: Connection,
    execution_ids: Sequence[str] | None = None,
    automation_id: str | None = None,
) -> None:
    """Keep executions cancelled: the given ones, those of an automation, or all of them."""
    sql = """
        DELETE FROM suspensions s
         WHERE (%(ids)s::text[] IS NULL OR s.execution_id = ANY(%(ids)s::text[]))
    """
    if automation_id is not None:  # else a lock on the table `executions` does not matter
        sql += """
           AND EXISTS (SELECT FROM executions e
                        WHERE e.id = s.execution_id AND e.automation_id = %(automation_id)s)
        """
    ids = None if execution_ids is None else list(execution_ids)
    execute(connection, sql, {"ids": ids, "automation_id": automation_id})


def select_suspended(connection: Connection, now: datetime) -> list[Suspended]:
    """Return what may come back, in the order of slots; forget what cannot any more."""
    over = """
        DELETE FROM suspensions s
         WHERE NOT EXISTS (SELECT FROM executions e
                            WHERE e.id = s.execution_id AND e.slot >= %s)
    """
    execute(connection, over, (now - OVER,))
    sql = """
        SELECT e.id, e.automation_id, e.slot
          FROM suspensions s
          JOIN executions e ON e.id = s.execution_id AND e.phase = %s
         ORDER BY e.slot
    """
    return fetch_all(connection, sql, (Phase.CANCELLED,), make=Suspended)


def select_cancelled(connection: Connection, execution_ids: Sequence[str]) -> dict[str, str]:
    """Return which of these were cancelled for good before they went live, and why."""
    sql = """
        SELECT id, reason FROM executions
         WHERE id = ANY(%s) AND phase = %s AND id NOT IN (SELECT execution_id FROM suspensions)
    """
    return dict(fetch_all(connection, sql, (list(execution_ids), Phase.CANCELLED)))


def select_cancelled_for(
    connection: Connection, automation_id: str, reason: str, now: datetime
) -> list[Suspended]:
    """Return executions of the schedule that were cancelled for this reason, with slots to come."""
    sql = """
        SELECT id, automation_id, slot FROM executions
         WHERE automation_id = %s AND phase = %s AND trigger = %s AND reason = %s AND slot > %s
    """
    values = (automation_id, Phase.CANCELLED, Trigger.SCHEDULE, reason, now)
    return fetch_all(connection, sql, values, make=Suspended)


def select_cancelled_ahead(connection: Connection, now: datetime) -> list[Suspended]:
    """Return executions that were cancelled for good, and whose slots are still to come."""
    sql = """
        SELECT id, automation_id, slot FROM executions
         WHERE phase = %(cancelled)s AND trigger = %(trigger)s AND slot > %(now)s
           AND created_at > %(now)s - %(lead)s
           AND id NOT IN (SELECT execution_id FROM suspensions)
    """
    values = {
        "cancelled": Phase.CANCELLED,
        "trigger": Trigger.SCHEDULE,
        "now": now,
        "lead": LONGEST_LEAD,
    }
    return fetch_all(connection, sql, values, make=Suspended)


#: Only one engine brings it back. Whoever cancels it for good deletes the same row, so that one of
#: the two waits for the other, and then finds the row gone, or the execution waiting.
_TAKE: Final = f"""
    DELETE FROM suspensions s
     USING (SELECT id FROM executions
             WHERE id = %(id)s AND phase = %(cancelled)s AND {NOT_STOPPED}
               FOR NO KEY UPDATE SKIP LOCKED) e
     WHERE s.execution_id = e.id
"""  # noqa: S608 - a constant
_REOPEN: Final = """
    UPDATE executions
       SET phase = %(waiting)s, due_at = greatest(begins_at, %(now)s), handed_out_at = NULL,
           fence = fence + 1, live_at = NULL, ended_at = NULL, reason = NULL, failures = 0,
           waits_for = NULL, approval_reason = NULL,
           snapshot = %(snapshot)s, automation_name = %(name)s, automation_version = %(version)s
     WHERE id = %(id)s
"""

#: A test of other texts is no test of these.
_FORGET_TESTS: Final = """
    DELETE FROM deliveries d
     USING executions e
     WHERE d.execution_id = %(id)s AND d.is_test AND e.id = d.execution_id
       AND (e.snapshot -> 'pushSequence') <> (%(snapshot)s::jsonb -> 'pushSequence')
"""
_BEGIN_ANEW: Final = (
    "DELETE FROM alerts WHERE execution_id = %(id)s",
    "DELETE FROM execution_phases WHERE execution_id = %(id)s",
    "DELETE FROM execution_pushes WHERE execution_id = %(id)s",
    "INSERT INTO execution_phases (execution_id, phase, entered_at)"
    " VALUES (%(id)s, %(waiting)s, %(now)s)",
    "INSERT INTO execution_pushes (execution_id, position)"
    " SELECT %(id)s, generate_series(1, %(pushes)s)",
)


def reopen_execution(
    connection: Connection, execution_id: str, document: Mapping[str, Any], now: datetime
) -> bool:
    """Let a suspended execution wait again, as a run of `document`; False if it is not suspended.

    Its audience and its test are made anew; a test user who has got the same texts gets no second
    test.
    """
    values = {
        "id": execution_id,
        "waiting": Phase.WAITING,
        "cancelled": Phase.CANCELLED,
        "now": now,
        "snapshot": Json(document),
        "name": document["name"],
        "version": document["version"],
        "pushes": len(document["pushSequence"]),
    }
    if not execute(connection, _TAKE, values):
        return False
    for statement in (_FORGET_TESTS, _REOPEN, *_BEGIN_ANEW):
        execute(connection, statement, values)
    return True
