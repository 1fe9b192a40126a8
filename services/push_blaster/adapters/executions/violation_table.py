"""The table `violations`: what safeguards found, until somebody has seen to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg2.extras import Json, RealDictCursor

from chassis.postgres import Connection
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.safeguards import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationQuery:
    """Which violations; None means any."""

    automation_id: str | None = None
    execution_id: str | None = None
    severity: str | None = None
    resolved: bool | None = None
    limit: int = 100


def insert_violation(
    connection: Connection, execution: Execution, violation: Violation, now: datetime
) -> bool:
    """Write down a violation; False, and no change, if the execution has this one already."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO violations
                   (execution_id, automation_id, position, type, severity, message, data, at,
                    tell_after)
            VALUES (%(execution_id)s, %(automation_id)s, %(position)s, %(type)s, %(severity)s,
                    %(message)s, %(data)s, %(now)s, %(now)s)
                ON CONFLICT DO NOTHING
            """,
            {
                "execution_id": execution.id,
                "automation_id": execution.automation.id,
                "position": violation.position,
                "type": violation.type,
                "severity": violation.severity,
                "message": violation.message,
                "data": Json(dict(violation.data)),
                "now": now,
            },
        )
        return cursor.rowcount == 1


def select_violations(connection: Connection, query: ViolationQuery) -> list[dict[str, Any]]:
    """Return violations, newest first."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT id, execution_id, automation_id, position, type, severity, message, data, at,
                   resolved_at, resolution
              FROM violations
             WHERE (%(automation_id)s IS NULL OR automation_id = %(automation_id)s)
               AND (%(execution_id)s IS NULL OR execution_id = %(execution_id)s)
               AND (%(severity)s IS NULL OR severity = %(severity)s)
               AND (%(resolved)s IS NULL OR (resolved_at IS NOT NULL) = %(resolved)s)
             ORDER BY at DESC, id
             LIMIT %(limit)s
            """,
            {
                "automation_id": query.automation_id,
                "execution_id": query.execution_id,
                "severity": query.severity,
                "resolved": query.resolved,
                "limit": query.limit,
            },
        )
        return [dict(row) for row in cursor]


def count_violations(connection: Connection) -> Mapping[str, Any]:
    """Return how many violations there are: in all, unresolved, by severity, and the last one's."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT count(*) AS total,
                   count(*) FILTER (WHERE severity = 'critical') AS critical,
                   count(*) FILTER (WHERE severity = 'warning') AS warning,
                   count(*) FILTER (WHERE resolved_at IS NULL) AS unresolved,
                   count(*) FILTER (WHERE resolved_at IS NULL AND severity = 'critical')
                     AS open_critical,
                   count(*) FILTER (WHERE resolved_at IS NULL AND severity = 'warning')
                     AS open_warning,
                   max(at) AS last_at
              FROM violations
            """
        )
        row = cursor.fetchone()
    return dict(row or {})


def resolve_violation(
    connection: Connection, violation_id: UUID, resolution: str, now: datetime
) -> bool:
    """Mark a violation as seen to; False if there is no such open one."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE violations SET resolved_at = %(now)s, resolution = %(resolution)s
             WHERE id = %(id)s::uuid AND resolved_at IS NULL
            """,
            {"id": str(violation_id), "resolution": resolution, "now": now},
        )
        return cursor.rowcount == 1


def take_untold(connection: Connection, now: datetime, again: timedelta) -> list[dict[str, Any]]:
    """Return violations that the contacts are to be told of, each to one caller at a time."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            UPDATE violations
               SET tries = tries + 1, tell_after = %(now)s + %(again)s * (tries + 1)
             WHERE id IN (
                   SELECT id FROM violations
                    WHERE told_at IS NULL AND tell_after <= %(now)s
                    ORDER BY at LIMIT 10
                      FOR UPDATE SKIP LOCKED)
            RETURNING id, execution_id, automation_id, position, type, severity, message, data,
                      at, tries
            """,
            {"now": now, "again": again},
        )
        return [dict(row) for row in cursor]


def mark_told(connection: Connection, violation_ids: Sequence[str], now: datetime) -> None:
    """Note that the contacts have been told, or that telling them is given up."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE violations SET told_at = %(now)s WHERE id = ANY(%(ids)s::uuid[])",
            {"now": now, "ids": list(violation_ids)},
        )
