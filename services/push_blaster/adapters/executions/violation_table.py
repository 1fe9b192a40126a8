"""The table `violations`: the findings of safeguards, until somebody has resolved them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one
from push_blaster.adapters.operations.outbox import facts_of
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


class KeptViolation(NamedTuple):
    """A recorded violation, and how it was resolved."""

    id: str
    execution_id: str
    automation_id: str
    position: int
    type: str
    severity: str
    message: str
    data: Mapping[str, Any]
    at: datetime
    resolved_at: datetime | None
    resolution: str | None


class ViolationCounts(NamedTuple):
    """How many violations there are, and when the last one was found."""

    total: int
    critical: int
    warning: int
    unresolved: int
    open_critical: int
    open_warning: int
    last_at: datetime | None


def insert_violation(
    connection: Connection, execution: Execution, violation: Violation, now: datetime
) -> bool:
    """Record a violation; False, and no change, if the execution has it already."""
    sql = f"""
        INSERT INTO violations
               (execution_id, automation_id, position, type, severity, message, data, at,
                tell_after, facts)
        SELECT e.id, e.automation_id, %(position)s, %(type)s, %(severity)s, %(message)s, %(data)s,
               %(now)s, %(now)s, {facts_of("%(type)s")}
          FROM executions e WHERE e.id = %(execution_id)s
            ON CONFLICT DO NOTHING
    """  # noqa: S608 - a constant
    values = {
        "execution_id": execution.id,
        "position": violation.position,
        "type": violation.type,
        "severity": violation.severity,
        "message": violation.message,
        "data": Json(dict(violation.data)),
        "now": now,
    }
    inserted = execute(connection, sql, values)
    return inserted == 1


def select_violations(connection: Connection, query: ViolationQuery) -> list[KeptViolation]:
    """Return violations, newest first."""
    sql = """
        SELECT id::text, execution_id, automation_id, position, type, severity, message, data, at,
               resolved_at, resolution
          FROM violations
         WHERE (%(automation_id)s IS NULL OR automation_id = %(automation_id)s)
           AND (%(execution_id)s IS NULL OR execution_id = %(execution_id)s)
           AND (%(severity)s IS NULL OR severity = %(severity)s)
           AND (%(resolved)s IS NULL OR (resolved_at IS NOT NULL) = %(resolved)s)
         ORDER BY at DESC, id
         LIMIT %(limit)s
    """
    return fetch_all(connection, sql, asdict(query), make=KeptViolation)


def count_violations(connection: Connection) -> ViolationCounts:
    """Return counts of violations, in all, unresolved, by severity; and when the last one came."""
    sql = """
        SELECT count(*),
               count(*) FILTER (WHERE severity = 'critical'),
               count(*) FILTER (WHERE severity = 'warning'),
               count(*) FILTER (WHERE resolved_at IS NULL),
               count(*) FILTER (WHERE resolved_at IS NULL AND severity = 'critical'),
               count(*) FILTER (WHERE resolved_at IS NULL AND severity = 'warning'),
               max(at)
          FROM violations
    """
    counted = fetch_one(connection, sql, make=ViolationCounts)
    return counted or ViolationCounts(0, 0, 0, 0, 0, 0, None)


def resolve_violation(
    connection: Connection, violation_id: UUID, resolution: str, now: datetime
) -> bool:
    """Mark a violation as resolved; False if there is no such open one."""
    sql = """
        UPDATE violations SET resolved_at = %(now)s, resolution = %(resolution)s
         WHERE id = %(id)s::uuid AND resolved_at IS NULL
    """
    resolved = execute(
        connection, sql, {"id": str(violation_id), "resolution": resolution, "now": now}
    )
    return resolved == 1
