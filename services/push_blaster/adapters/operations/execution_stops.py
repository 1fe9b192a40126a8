"""The table `execution_stops`: executions that must stop, even if others have locked their rows.

A stop is a row here, for which no other transaction makes it wait. Once it is committed, no step
begins and nothing is claimed. The row of the execution follows as soon as it is free; then the row
of the stop is deleted. A row with `phases` is a request for several stops: `stop_requests.py`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value, fetch_values, without_nul
from push_blaster.adapters.operations.outbox import facts_of
from push_blaster.adapters.operations.stop_requests import StopRequest
from push_blaster.domain.executions.execution import PushStatus
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.operations.alert import EVENT_OF

#: A condition on the row `executions`: nobody has stopped it.
NOT_STOPPED: Final = """NOT EXISTS (SELECT FROM execution_stops
                                     WHERE execution_stops.execution_id = executions.id)
           AND NOT EXISTS (SELECT FROM execution_stops r
                            WHERE executions.phase = ANY(r.phases)
                              AND executions.created_at <= r.asked_at
                              AND coalesce(r.only_execution, executions.id) = executions.id
                              AND coalesce(r.only_automation, executions.automation_id)
                                  = executions.automation_id)"""


def insert_stops(
    connection: Connection,
    request: StopRequest,
    end: Phase = Phase.CANCELLED,
    *,
    only_older: bool = False,
) -> list[str]:
    """Stop what the request names; return which executions were not stopped before.

    Shape: they end in the phase `end`; `only_older` leaves out what was created after the request.
    """
    sql = """
        INSERT INTO execution_stops (execution_id, phase, reason, asked_at)
        SELECT id, %(end)s, %(reason)s, %(asked_at)s FROM executions
         WHERE due_at IS NOT NULL AND phase = ANY(%(phases)s)
           AND (%(execution_id)s IS NULL OR id = %(execution_id)s)
           AND (%(automation_id)s IS NULL OR automation_id = %(automation_id)s)
           AND (NOT %(only_older)s OR created_at <= %(asked_at)s)
            ON CONFLICT DO NOTHING
        RETURNING execution_id
    """
    return fetch_values(connection, sql, request.values | {"end": end, "only_older": only_older})


def insert_unseen_stop(
    connection: Connection, execution_id: str, end: tuple[Phase, str], now: datetime
) -> None:
    """Stop an execution whose row nobody can read now; `end_stopped` forgets it if it has ended."""
    sql = "INSERT INTO execution_stops VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
    phase, reason = end
    execute(connection, sql, (execution_id, phase, without_nul(reason), now))


def is_stopped(connection: Connection, execution_id: str) -> bool:
    """Return whether somebody has stopped the execution, or it has ended; waits for no row."""
    sql = f"""
        SELECT EXISTS (SELECT FROM execution_stops WHERE execution_id = %(id)s)
            OR EXISTS (SELECT FROM executions
                        WHERE id = %(id)s AND (ended_at IS NOT NULL OR NOT ({NOT_STOPPED})))
    """  # noqa: S608 - a constant
    return bool(fetch_value(connection, sql, {"id": execution_id}))


def select_stopped(connection: Connection, execution_ids: Sequence[str]) -> set[str]:
    """Return which of the executions are stopped, as `is_stopped` does for one."""
    sql = f"""
        SELECT execution_id FROM execution_stops WHERE execution_id = ANY(%(ids)s)
         UNION
        SELECT id FROM executions
         WHERE id = ANY(%(ids)s) AND (ended_at IS NOT NULL OR NOT ({NOT_STOPPED}))
    """  # noqa: S608 - a constant
    return set(fetch_values(connection, sql, {"ids": list(execution_ids)}))


def has_stops(connection: Connection, execution_ids: Sequence[str]) -> bool:
    """Return whether one of the executions is stopped, and its row does not say so yet.

    It reads no row of an execution, which may be locked: a request to stop it in any phase counts.
    """
    sql = """
        SELECT EXISTS (SELECT FROM execution_stops WHERE execution_id = ANY(%(ids)s))
            OR EXISTS (SELECT FROM execution_stops r, unnest(%(ids)s::text[]) AS asked (id)
                        WHERE %(live)s = ANY(r.phases)
                          AND coalesce(r.only_execution, asked.id) = asked.id
                          AND (r.only_automation IS NULL
                               OR starts_with(asked.id, r.only_automation || '@')))
    """
    values = {"ids": list(execution_ids), "live": Phase.LIVE_EXECUTION}
    return bool(fetch_value(connection, sql, values))


#: `free` and `held` leave out what another transaction has locked. A push without its execution, or
#: the other way round, is never ended.
_END: Final = f"""
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
        RETURNING e.*),
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
           INSERT INTO alerts (execution_id, event, at, tell_after, facts)
           SELECT e.id, %(events)s::jsonb ->> e.phase, %(now)s, %(now)s,
                  {facts_of("%(events)s::jsonb ->> e.phase")}
             FROM ended e
            WHERE %(events)s::jsonb ? e.phase
               ON CONFLICT DO NOTHING),
           noted AS (
           INSERT INTO execution_log (execution_id, at, level, stage, message)
           SELECT id, %(now)s, CASE phase WHEN 'failed' THEN 'error' ELSE 'warning' END, phase,
                  reason
             FROM ended
            WHERE phase IN ('cancelled', 'failed'))
    SELECT id FROM ended
"""  # noqa: S608 - a constant

_FORGET: Final = """
    DELETE FROM execution_stops s
     WHERE s.phases IS NULL
       AND (%(ids)s::text[] IS NULL OR s.execution_id = ANY(%(ids)s::text[]))
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
    phase, reason = end
    request = StopRequest(phases=phases, reason=reason, asked_at=now, execution_id=execution_id)
    stopped = insert_stops(connection, request, phase)
    end_stopped(connection, now, [execution_id])
    return bool(stopped)
