"""What a person on call asks of the database: what runs, what waits, what went out lately."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection

#: An automation whose last run failed, and that has not run since, is told of for so long.
TROUBLE_LASTS: Final = timedelta(days=7)


def count_running_phases(connection: Connection) -> dict[str, int]:
    """Return how many executions stand in each phase, of those that have not ended."""
    return _count(
        connection, "SELECT phase, count(*) FROM executions WHERE ended_at IS NULL GROUP BY phase"
    )


def count_ended_phases(connection: Connection, since: datetime) -> dict[str, int]:
    """Return how many live executions have ended since then, by how they ended."""
    return _count(
        connection,
        """
        SELECT phase, count(*) FROM executions
         WHERE mode = 'live' AND ended_at >= %(since)s
         GROUP BY phase
        """,
        since=since,
    )


def sum_funnels(connection: Connection, since: datetime) -> dict[str, int]:
    """Return the funnel of all live pushes that have ended since then, added up by stage."""
    return _count(
        connection,
        """
        SELECT stage.key, sum(stage.value::numeric)::bigint
          FROM executions e
          JOIN execution_pushes p ON p.execution_id = e.id
          CROSS JOIN jsonb_each_text(p.funnel) stage
         WHERE e.mode = 'live' AND p.ended_at >= %(since)s
           AND jsonb_typeof(p.funnel -> stage.key) = 'number'
         GROUP BY stage.key
        """,
        since=since,
    )


def select_troubled(connection: Connection, since: datetime, limit: int) -> list[dict[str, Any]]:
    """Return automations whose last live run failed, was missed or went unchecked; newest first.

    Shape: of runs since `since`; what was sent ad hoc is watched by whoever sent it.
    """
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT e.automation_id, e.automation_name, e.id AS execution_id, e.phase, e.reason,
                   e.uncapped_reason, coalesce(e.ended_at, e.slot) AS at
              FROM executions e
             WHERE e.mode = 'live' AND e.created_at >= %(since)s AND e.trigger <> 'ad_hoc'
               AND (e.phase IN ('failed', 'missed') OR e.uncapped_reason IS NOT NULL)
               AND NOT EXISTS (
                   SELECT FROM executions later
                    WHERE later.automation_id = e.automation_id AND later.slot > e.slot
                      AND later.mode = 'live' AND later.phase IN ('completed', 'failed', 'missed'))
             ORDER BY e.created_at DESC
             LIMIT %(limit)s
            """,
            {"since": since, "limit": limit},
        )
        return [dict(row) for row in cursor]


def count_open_violations(connection: Connection) -> dict[str, int]:
    """Return how many violations nobody has seen to, by severity."""
    return _count(
        connection,
        "SELECT severity, count(*) FROM violations WHERE resolved_at IS NULL GROUP BY severity",
    )


def select_backlog(connection: Connection, now: datetime, since: datetime) -> Mapping[str, Any]:
    """Return what waits, and for how long: due steps, open batches, sends cadence does not know.

    Units: `oldest_step` in seconds. `uncapped` counts live executions begun since `since`.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (SELECT count(*) FROM executions WHERE due_at <= %(now)s),
                   (SELECT coalesce(extract(epoch FROM %(now)s - min(due_at)), 0)
                      FROM executions WHERE due_at <= %(now)s),
                   (SELECT count(*)
                      FROM send_batches b
                      JOIN executions e ON e.id = b.execution_id AND e.phase = 'live_execution'
                     WHERE b.done_at IS NULL
                       AND (b.not_before IS NULL OR b.not_before <= %(now)s)),
                   (SELECT count(*) FROM send_batches
                     WHERE done_at IS NOT NULL AND tracked_at IS NULL),
                   (SELECT count(*) FROM executions
                     WHERE mode = 'live' AND begins_at >= %(since)s AND uncapped_reason IS NOT NULL)
            """,
            {"now": now, "since": since},
        )
        row = cursor.fetchone() or (0, 0, 0, 0, 0)
    names = ("steps", "oldest_step", "batches", "untracked", "uncapped")
    return dict(zip(names, map(float, row), strict=True))


def sum_uncapped(connection: Connection, since: datetime) -> int:
    """Return how many messages have been sent since then by executions that went unchecked."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(sum((p.funnel ->> 'sent')::bigint), 0)
              FROM executions e
              JOIN execution_pushes p ON p.execution_id = e.id
             WHERE e.mode = 'live' AND e.uncapped_reason IS NOT NULL AND p.ended_at >= %(since)s
            """,
            {"since": since},
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _count(connection: Connection, sql: str, **values: object) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return {name: int(count) for name, count in cursor}
