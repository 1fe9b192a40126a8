"""The table `push_decisions`: who tests the variants of a push, and what all others get."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_one
from push_blaster.domain.executions.decision import PushDecision

#: An expression: the decision about the push of a row of `execution_pushes p`, as JSON.
OF_PUSH: Final = """
    (SELECT to_jsonb(d) FROM push_decisions d
      WHERE d.execution_id = p.execution_id AND d.position = p.position) AS decision
"""


def open_decision(
    connection: Connection, execution_id: str, position: int, new: PushDecision, resumes: str | None
) -> None:
    """Note who tests a push, and when its winner is decided; safe to repeat.

    An execution that resumes another one keeps its testers, and a decision that was made.
    """
    sql = """
        INSERT INTO push_decisions (execution_id, position, draw, decides_at, decided_at, variant,
                                    is_sure, reason, figures)
        SELECT %(id)s, %(position)s, coalesce(d.draw, %(draw)s),
               CASE WHEN d.decided_at IS NULL THEN %(decides_at)s ELSE d.decides_at END,
               d.decided_at, d.variant, coalesce(d.is_sure, false), d.reason,
               coalesce(d.figures, '{}')
          FROM (VALUES (1)) AS one
          LEFT JOIN push_decisions d
                 ON d.execution_id = %(resumes)s AND d.position = %(position)s
            ON CONFLICT DO NOTHING
    """
    values = {
        "id": execution_id,
        "position": position,
        "draw": new.draw,
        "decides_at": new.decides_at,
        "resumes": resumes,
    }
    execute(connection, sql, values)


def lock_decision(connection: Connection, execution_id: str, position: int) -> PushDecision | None:
    """Return the decision about a push; until the transaction ends nobody else makes it."""
    sql = """
        SELECT to_jsonb(d) FROM push_decisions d
         WHERE execution_id = %s AND position = %s FOR NO KEY UPDATE
    """
    return fetch_one(connection, sql, (execution_id, position), make=read_decision)


def save_decision(
    connection: Connection, execution_id: str, position: int, made: PushDecision
) -> None:
    """Write a decision that nobody has made yet; a decision once made stays."""
    sql = """
        UPDATE push_decisions
           SET decided_at = %(decided_at)s, variant = %(variant)s, is_sure = %(is_sure)s,
               reason = %(reason)s, figures = %(figures)s
         WHERE execution_id = %(id)s AND position = %(position)s AND decided_at IS NULL
    """
    values = {
        "id": execution_id,
        "position": position,
        "decided_at": made.decided_at,
        "variant": made.variant,
        "is_sure": made.is_sure,
        "reason": made.reason,
        "figures": Json(made.figures),
    }
    execute(connection, sql, values)


def read_decision(row: Mapping[str, Any]) -> PushDecision:
    """Return a decision of its row as JSON."""
    decided_at = row["decided_at"]
    instants = {
        "decides_at": datetime.fromisoformat(row["decides_at"]),
        "decided_at": datetime.fromisoformat(decided_at) if decided_at else None,
    }
    return PushDecision(**{**{name: row[name] for name in PushDecision.__slots__}, **instants})
