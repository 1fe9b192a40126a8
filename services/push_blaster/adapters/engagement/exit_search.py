"""Search for users who did something since an execution began."""

from collections.abc import Sequence
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all


def select_exits(
    connection: Connection,
    execution_id: str,
    user_ids: Sequence[UUID],
    events: Sequence[str],
    goals: Sequence[str],
) -> list[tuple[UUID, str]]:
    """Return which users had one of `events` from a push of the execution, or reached a goal.

    Shape: each user once. Pushes of the executions that it resumes count, too.
    """
    sql = """
        WITH RECURSIVE line AS (
             SELECT number, resumes, begins_at FROM executions WHERE id = %(id)s
              UNION
             SELECT e.number, e.resumes, e.begins_at
               FROM line JOIN executions e ON e.id = line.resumes)
        SELECT DISTINCT ON (user_id) user_id, what
          FROM (SELECT c.user_id, c.goal AS what, c.at
                  FROM conversions c
                 WHERE c.user_id = ANY(%(users)s::uuid[]) AND c.goal = ANY(%(goals)s)
                   AND c.at >= (SELECT min(begins_at) FROM line)
                 UNION ALL
                SELECT e.user_id, e.event, e.at
                  FROM line
                  JOIN result_pushes p ON p.execution_number = line.number
                  JOIN events e ON e.week = p.week AND e.execution_number = p.execution_number
                                AND e.position = p.position
                 WHERE e.user_id = ANY(%(users)s::uuid[]) AND e.event = ANY(%(events)s)) done
         ORDER BY user_id, at
    """
    values = {
        "id": execution_id,
        "users": list(user_ids),
        "events": list(events),
        "goals": list(goals),
    }
    return fetch_all(connection, sql, values)
