"""The table `over_cap`: who got more than cadence rules allow, of executions sent unchecked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg2.extras import execute_values

from chassis.postgres import Connection
from push_blaster.domain.cadence.cadence import OverCap


@dataclass(frozen=True, slots=True)
class OverCapCount:
    """How many users of an execution got more than a rule allows, since when that is known."""

    users: int
    by_rule: Mapping[str, int]
    counted_at: datetime


def select_uncounted(connection: Connection, limit: int) -> list[str]:
    """Return ended executions that were sent unchecked, fully told to cadence, not yet counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.id FROM executions e
             WHERE e.uncapped_reason IS NOT NULL AND e.over_cap_at IS NULL
               AND e.ended_at IS NOT NULL AND e.mode <> 'simulation'
               AND NOT EXISTS (
                   SELECT 1 FROM send_batches b
                    WHERE b.execution_id = e.id AND b.tracked_at IS NULL)
             ORDER BY e.ended_at
             LIMIT %(limit)s
            """,
            {"limit": limit},
        )
        return [row[0] for row in cursor]


def select_reached(
    connection: Connection, execution_id: str, position: int, after: UUID | None, limit: int
) -> list[tuple[UUID, datetime | None]]:
    """Return users whom a push was sent to, or may have been, in order, from after `after` on.

    Shape: with until when each was held, if at all.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT user_id, held_until FROM deliveries
             WHERE execution_id = %(id)s AND position = %(position)s AND NOT is_test
               AND state IN ('sent', 'in_doubt')
               AND (%(after)s::uuid IS NULL OR user_id > %(after)s::uuid)
             ORDER BY user_id
             LIMIT %(limit)s
            """,
            {"id": execution_id, "position": position, "after": after, "limit": limit},
        )
        return list(cursor.fetchall())


def insert_over_cap(
    connection: Connection, execution_id: str, position: int, found: Sequence[OverCap]
) -> None:
    """Write down who got more than rules allow; safe to repeat."""
    if not found:
        return
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO over_cap (execution_id, position, user_id, rules)
            VALUES %s
                ON CONFLICT DO NOTHING
            """,
            [(execution_id, position, one.user_id, list(one.rules)) for one in found],
            page_size=1_000,
        )


def mark_counted(connection: Connection, execution_id: str, now: datetime) -> None:
    """Note that who got more than rules allow is written down now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE executions SET over_cap_at = %(now)s WHERE id = %(id)s",
            {"id": execution_id, "now": now},
        )


def select_over_cap_count(connection: Connection, execution_id: str) -> OverCapCount | None:
    """Return how many got more than rules allow; None while that is not known."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.over_cap_at, (SELECT count(DISTINCT user_id) FROM over_cap
                                    WHERE execution_id = e.id)
              FROM executions e
             WHERE e.id = %(id)s AND e.over_cap_at IS NOT NULL
            """,
            {"id": execution_id},
        )
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(
            """
            SELECT rule, count(DISTINCT user_id)
              FROM over_cap, unnest(rules) rule
             WHERE execution_id = %(id)s
             GROUP BY rule ORDER BY rule
            """,
            {"id": execution_id},
        )
        return OverCapCount(row[1], dict(cursor.fetchall()), row[0])


def select_over_cap(
    connection: Connection, execution_id: str, after: tuple[int, UUID] | None, limit: int
) -> list[dict[str, Any]]:
    """Return who got more than rules allow, by push and user."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT position, user_id, rules FROM over_cap
             WHERE execution_id = %(id)s
               AND (%(position)s::int IS NULL
                    OR (position, user_id) > (%(position)s::int, %(user)s::uuid))
             ORDER BY position, user_id
             LIMIT %(limit)s
            """,
            {
                "id": execution_id,
                "position": after[0] if after else None,
                "user": after[1] if after else None,
                "limit": limit,
            },
        )
        return [{"position": row[0], "user_id": row[1], "rules": row[2]} for row in cursor]
