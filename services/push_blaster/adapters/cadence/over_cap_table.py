"""The table `over_cap`: users who got more than the rules allow, of executions sent unchecked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_values, insert_many
from push_blaster.adapters.devices.erased_users import is_erased
from push_blaster.domain.cadence.cadence import OverCap


@dataclass(frozen=True, slots=True)
class OverCapCount:
    """How many users of an execution got more than a rule allows, and when they were counted."""

    users: int
    by_rule: Mapping[str, int]
    counted_at: datetime


@dataclass(frozen=True, slots=True)
class OverCapUser:
    """A user who got more than `rules` allow by the push at `position`."""

    position: int
    user_id: UUID
    rules: Sequence[str]


class ReachedUser(NamedTuple):
    """A user who got a push, or may have got it, and the send window if the push was deferred."""

    user_id: UUID
    window: datetime | None


def select_uncounted(connection: Connection, limit: int) -> list[str]:
    """Return ended executions that were sent unchecked, and whose sends cadence has recorded."""
    sql = """
        SELECT e.id FROM executions e
         WHERE e.uncapped_reason IS NOT NULL AND e.over_cap_at IS NULL
           AND e.ended_at IS NOT NULL AND e.mode <> 'simulation'
           AND NOT EXISTS (
               SELECT 1 FROM send_batches b
                WHERE b.execution_id = e.id AND b.tracked_at IS NULL)
         ORDER BY e.ended_at
         LIMIT %(limit)s
    """
    return fetch_values(connection, sql, {"limit": limit})


def select_reached(
    connection: Connection, execution_id: str, position: int, after: UUID | None, limit: int
) -> list[ReachedUser]:
    """Return users who got a push, or may have got it, in order, behind the user `after`."""
    sql = """
        SELECT user_id, held_until FROM deliveries
         WHERE execution_id = %(id)s AND position = %(position)s AND NOT is_test
           AND state IN ('sent', 'in_doubt')
           AND (%(after)s::uuid IS NULL OR user_id > %(after)s::uuid)
         ORDER BY user_id
         LIMIT %(limit)s
    """
    return fetch_all(
        connection,
        sql,
        {"id": execution_id, "position": position, "after": after, "limit": limit},
        make=ReachedUser,
    )


def insert_over_cap(
    connection: Connection, execution_id: str, position: int, found: Sequence[OverCap]
) -> None:
    """Insert users who got more than the rules allow; safe to repeat. Erased users are left out."""
    sql = f"""
        INSERT INTO over_cap (execution_id, position, user_id, rules)
        SELECT * FROM (VALUES %s) AS v (execution_id, position, user_id, rules)
         WHERE NOT {is_erased("user_id")}
            ON CONFLICT DO NOTHING
    """  # noqa: S608 - a constant
    insert_many(
        connection, sql, [(execution_id, position, one.user_id, list(one.rules)) for one in found]
    )


def mark_counted(connection: Connection, execution_id: str, now: datetime) -> None:
    """Mark that the users of this execution who are over a cap are counted."""
    sql = "UPDATE executions SET over_cap_at = %(now)s WHERE id = %(id)s"
    execute(connection, sql, {"id": execution_id, "now": now})


def select_over_cap_count(connection: Connection, execution_id: str) -> OverCapCount | None:
    """Return how many users got more than the rules allow; None before they are counted."""
    sql = "SELECT over_cap_at FROM executions WHERE id = %(id)s AND over_cap_at IS NOT NULL"
    counted_at = fetch_one(connection, sql, {"id": execution_id})
    if counted_at is None:
        return None
    sql = """
        SELECT rule, count(DISTINCT user_id)
          FROM over_cap, unnest(rules) rule
         WHERE execution_id = %(id)s
         GROUP BY ROLLUP (rule) ORDER BY rule NULLS FIRST
    """
    by_rule = fetch_all(connection, sql, {"id": execution_id})
    (_, users), *rules = by_rule
    return OverCapCount(users, dict(rules), *counted_at)


def select_over_cap(
    connection: Connection, execution_id: str, after: tuple[int, UUID] | None, limit: int
) -> list[OverCapUser]:
    """Return users who got more than the rules allow, by push and user, behind `after`."""
    position, user = after or (None, None)
    sql = """
        SELECT position, user_id, rules FROM over_cap
         WHERE execution_id = %(id)s
           AND (%(position)s::int IS NULL
                OR (position, user_id) > (%(position)s::int, %(user)s::uuid))
         ORDER BY position, user_id
         LIMIT %(limit)s
    """
    return fetch_all(
        connection,
        sql,
        {"id": execution_id, "position": position, "user": user, "limit": limit},
        make=OverCapUser,
    )
