"""The outcomes of executions, in brief and many at a time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.funnels import SENT
from push_blaster.domain.executions.phase import Phase


class RunOutcome(NamedTuple):
    """The phase of an execution, and whether anything of it was, or may have been, sent."""

    id: str
    phase: Phase
    reason: str | None
    has_sent: bool


def select_runs(connection: Connection, execution_ids: Sequence[str]) -> dict[str, RunOutcome]:
    """Return the outcomes of the executions that exist, by id."""
    sql = """
        SELECT id, phase, reason,
               EXISTS (SELECT 1 FROM deliveries d
                        WHERE d.execution_id = e.id AND NOT d.is_test
                          AND d.state IN ('sent', 'in_doubt'))
          FROM executions e
         WHERE id = ANY(%s)
    """
    found = fetch_all(
        connection,
        sql,
        (list(execution_ids),),
        make=lambda id_, phase, reason, sent: RunOutcome(id_, Phase(phase), reason, sent),
    )
    return {run.id: run for run in found}


class Order(StrEnum):
    """The orders in which executions can be sorted."""

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


class HistoryPage(NamedTuple):
    """One page of executions, and how many there are on all pages."""

    runs: list[PastRun]
    total: int


def select_history(connection: Connection, query: HistoryQuery) -> HistoryPage:
    """Return one page of executions."""
    direction = "ASC" if query.ascending else "DESC"
    sql = f"""
        SELECT * FROM (
        SELECT e.id, e.automation_id, e.mode, e.phase, e.created_at AS started_at, e.ended_at,
               e.reason, coalesce(p.audience, 0) AS audience, coalesce(p.sent, 0) AS sent,
               p.pushes_sent, p.pushes_failed, count(*) OVER () AS total
          FROM executions e
          CROSS JOIN LATERAL (
               SELECT sum(distinct_users)::int AS audience,
                      sum({SENT})::int AS sent,
                      count(*) FILTER (WHERE status = 'sent')::int AS pushes_sent,
                      count(*) FILTER (WHERE status = 'failed')::int AS pushes_failed
                 FROM execution_pushes p WHERE p.execution_id = e.id) p
         WHERE (%(automation_id)s::text IS NULL OR e.automation_id = %(automation_id)s)
           AND (%(status)s::text IS NULL OR e.phase = %(status)s
                OR (%(status)s = 'running' AND e.ended_at IS NULL))
           AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s)
           AND (%(until)s::timestamptz IS NULL OR e.created_at < %(until)s)
        ) h
         ORDER BY {_ORDERS[query.order]} {direction}, id {direction}
         LIMIT %(limit)s OFFSET %(offset)s
    """  # noqa: S608 - constants
    rows = fetch_all(
        connection,
        sql,
        asdict(query),
        make=lambda total, **columns: (PastRun(**columns), total),
        by_name=True,
    )
    return HistoryPage([run for run, _ in rows], rows[0][1] if rows else 0)
