"""The table `execution_stops`: executions that must stop, even if others have locked their rows.

A stop is a row here, for which no other transaction makes it wait. Once it is committed, no step
begins and nothing is claimed. The row of the execution follows as soon as it is free; then the row
of the stop is deleted.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value, fetch_values, without_nul
from push_blaster.domain.executions.execution import PushStatus
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.operations.alert import EVENT_OF

#: A condition on the row `executions`: nobody has stopped it.
NOT_STOPPED: Final = """NOT EXISTS (SELECT FROM execution_stops
                                     WHERE execution_stops.execution_id = executions.id)"""


def insert_stops(
    connection: Connection,
    execution_ids: Sequence[str] | None,
    phases: Collection[Phase],
    end: tuple[Phase, str],
    now: datetime,
    created_until: datetime | None = None,
) -> list[str]:
    """Stop those executions that are in one of `phases`; return which were not stopped before.

    Shape: without `execution_ids` all executions, with `created_until` only those that were created
    until then; `end` is the phase in which they end, and why.
    """
    phase, reason = end
    sql = """
        INSERT INTO execution_stops (execution_id, phase, reason, asked_at)
        SELECT id, %(end)s, %(reason)s, %(now)s FROM executions
         WHERE due_at IS NOT NULL AND phase = ANY(%(phases)s)
           AND (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s::text[]))
           AND (%(until)s::timestamptz IS NULL OR created_at <= %(until)s)
            ON CONFLICT DO NOTHING
        RETURNING execution_id
    """
    values = {
        "ids": None if execution_ids is None else list(execution_ids),
        "phases": list(phases),
        "end": phase,
        "reason": without_nul(reason),
        "now": now,
        "until": created_until,
    }
    return fetch_values(connection, sql, values)


def insert_unseen_stop(
    connection: Connection, execution_id: str, end: tuple[Phase, str], now: datetime
) -> None:
    """Stop an execution whose row nobody can read now; `end_stopped` forgets it if it has ended."""
    sql = "INSERT INTO execution_stops VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
    phase, reason = end
    execute(connection, sql, (execution_id, phase, without_nul(reason), now))


def is_stopped(connection: Connection, execution_id: str) -> bool:
    """Return whether somebody has stopped the execution, or it has ended; waits for no lock."""
    sql = """
        SELECT EXISTS (SELECT FROM execution_stops WHERE execution_id = %(id)s)
            OR EXISTS (SELECT FROM executions WHERE id = %(id)s AND ended_at IS NOT NULL)
    """
    return bool(fetch_value(connection, sql, {"id": execution_id}))


def has_stops(connection: Connection, execution_ids: Sequence[str]) -> bool:
    """Return whether one of the executions is stopped, and its row does not say so yet."""
    sql = "SELECT EXISTS (SELECT FROM execution_stops WHERE execution_id = ANY(%s))"
    return bool(fetch_value(connection, sql, (list(execution_ids),)))


#: `free` and `held` leave out what another transaction has locked. A push without its execution, or
#: the other way round, is never ended.
_END: Final = """
      WITH free AS MATERIALIZED (
           SELECT e.id, s.phase, s.reason
             FROM execution_stops s
             JOIN executions e ON e.id = s.execution_id AND e.ended_at IS NULL
            WHERE %(ids)s::text[] IS NULL OR s.execution_id = ANY(%(ids)s::text[])
              FOR NO KEY UPDATE OF e SKIP LOCKED),
           held AS MATERIALIZED (
           SELECT p.execution_id, p.position
             FROM execution_pushes p
             JOIN free ON free.id = p.execution_id
            WHERE p.ended_at IS NULL
              FOR NO KEY UPDATE OF p SKIP LOCKED),
           stopped AS MATERIALIZED (
           SELECT free.*
             FROM free
            WHERE free.id NOT IN (
                  SELECT p.execution_id
                    FROM execution_pushes p
                    JOIN free ON free.id = p.execution_id
                    LEFT JOIN held USING (execution_id, position)
                   WHERE p.ended_at IS NULL AND held.position IS NULL)),
           ended AS (
           UPDATE executions e
              SET phase = stopped.phase, reason = stopped.reason, due_at = NULL,
                  ended_at = %(now)s, fence = e.fence + 1, attempt = 0, preparation = NULL
             FROM stopped
            WHERE e.id = stopped.id AND e.ended_at IS NULL
        RETURNING e.id, e.phase, e.reason),
           pushes AS (
           UPDATE execution_pushes p
              SET ended_at = %(now)s, status = CASE ended.phase WHEN 'cancelled' THEN %(cancelled)s
                                                                ELSE %(failed)s END
             FROM ended
            WHERE p.execution_id = ended.id AND p.ended_at IS NULL),
           entered AS (
           INSERT INTO execution_phases (execution_id, phase, entered_at)
           SELECT id, phase, %(now)s FROM ended
               ON CONFLICT DO NOTHING),
           told AS (
           INSERT INTO alerts (execution_id, event, at, tell_after)
           SELECT id, %(events)s::jsonb ->> phase, %(now)s, %(now)s FROM ended
            WHERE %(events)s::jsonb ? phase
               ON CONFLICT DO NOTHING),
           noted AS (
           INSERT INTO execution_log (execution_id, at, level, stage, message)
           SELECT id, %(now)s, CASE phase WHEN 'failed' THEN 'error' ELSE 'warning' END, phase,
                  reason
             FROM ended
            WHERE phase IN ('cancelled', 'failed'))
    SELECT id FROM ended
"""

_FORGET: Final = """
    DELETE FROM execution_stops s
     WHERE (%(ids)s::text[] IS NULL OR s.execution_id = ANY(%(ids)s::text[]))
       AND NOT EXISTS (SELECT FROM executions e
                        WHERE e.id = s.execution_id AND e.ended_at IS NULL)
"""


def end_stopped(
    connection: Connection, now: datetime, execution_ids: Sequence[str] | None = None
) -> list[str]:
    """End stopped executions whose rows are free, by one statement; return their ids.

    The others stay stopped, and are ended by a later call.
    """
    values = {
        "ids": None if execution_ids is None else list(execution_ids),
        "now": now,
        "cancelled": PushStatus.CANCELLED,
        "failed": PushStatus.FAILED,
        "events": Json(EVENT_OF),
    }
    ended = fetch_values(connection, _END, values)
    execute(connection, _FORGET, values)
    return ended


def end_execution(
    connection: Connection,
    execution_id: str,
    phases: Collection[Phase],
    end: tuple[Phase, str],
    now: datetime,
) -> bool:
    """Stop the execution if it is in one of `phases`, whoever works on it; False if it is not.

    Shape: `end` is the terminal phase and the reason. Nothing can be claimed for it afterwards.
    """
    stopped = insert_stops(connection, [execution_id], phases, end, now)
    end_stopped(connection, now, [execution_id])
    return bool(stopped)
