"""Reading what became of executions, in few words and in bulk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection
from push_blaster.domain.executions.phase import Phase


@dataclass(frozen=True, slots=True)
class Run:
    """Where an execution stands, and whether anything of it has, or may have, gone out."""

    id: str
    phase: Phase
    reason: str | None
    has_sent: bool


def select_runs(connection: Connection, execution_ids: Sequence[str]) -> dict[str, Run]:
    """Return those of the executions that there are, by id."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, phase, reason,
                   EXISTS (SELECT 1 FROM deliveries d
                            WHERE d.execution_id = e.id AND NOT d.is_test
                              AND d.state IN ('sent', 'in_doubt'))
              FROM executions e
             WHERE id = ANY(%(ids)s)
            """,
            {"ids": list(execution_ids)},
        )
        return {row[0]: Run(row[0], Phase(row[1]), row[2], row[3]) for row in cursor}


class Order(StrEnum):
    """By what executions are sorted."""

    DATE = "date"
    DURATION = "duration"
    SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which executions, in which order; None means any.

    Shape: `status` is `running` or how an execution ended; `since` and `until` bound its start.
    """

    automation_id: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    order: Order = Order.DATE
    ascending: bool = False
    offset: int = 0
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One execution in a history; counts of users and of pushes."""

    id: str
    automation_id: str
    mode: str
    phase: str
    started_at: datetime
    ended_at: datetime | None
    reason: str | None
    audience: int
    sent: int
    pushes_sent: int
    pushes_failed: int


_ORDERS: Final = {
    Order.DATE: "started_at",
    Order.DURATION: "coalesce(ended_at, now()) - started_at",
    Order.SENT: "sent",
}


def select_history(connection: Connection, query: HistoryQuery) -> tuple[list[PastRun], int]:
    """Return one page of executions, and how many there are on all pages."""
    direction = "ASC" if query.ascending else "DESC"
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            f"""
            SELECT * FROM (
            SELECT e.id, e.automation_id, e.mode, e.phase, e.created_at AS started_at, e.ended_at,
                   e.reason, coalesce(p.audience, 0) AS audience, coalesce(p.sent, 0) AS sent,
                   p.pushes_sent, p.pushes_failed, count(*) OVER () AS total
              FROM executions e
              CROSS JOIN LATERAL (
                   SELECT sum(distinct_users)::int AS audience,
                          sum((funnel ->> 'sent')::int)::int AS sent,
                          count(*) FILTER (WHERE status = 'sent')::int AS pushes_sent,
                          count(*) FILTER (WHERE status = 'failed')::int AS pushes_failed
                     FROM execution_pushes WHERE execution_id = e.id) p
             WHERE (%(automation_id)s::text IS NULL OR e.automation_id = %(automation_id)s)
               AND (%(status)s::text IS NULL OR e.phase = %(status)s
                    OR (%(status)s = 'running' AND e.ended_at IS NULL))
               AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s)
               AND (%(until)s::timestamptz IS NULL OR e.created_at < %(until)s)
            ) h
             ORDER BY {_ORDERS[query.order]} {direction}, id {direction}
             LIMIT %(limit)s OFFSET %(offset)s
            """,  # noqa: S608 - constants
            {
                "automation_id": query.automation_id,
                "status": query.status,
                "since": query.since,
                "until": query.until,
                "limit": query.limit,
                "offset": query.offset,
            },
        )
        rows = cursor.fetchall()
    total = rows[0]["total"] if rows else 0
    return [PastRun(**{k: v for k, v in row.items() if k != "total"}) for row in rows], total
