"""The table `deliveries`: the ledger that keeps a user from being sent to twice.

A row is claimed before the send and settled after it. What is claimed and never settled is in
doubt: the send began, and a crash hid its outcome.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg2.extras import execute_values

from chassis.postgres import Connection
from push_blaster.domain.message import Delivery


@dataclass(frozen=True, slots=True, order=True)
class LedgerPage:
    """Where a group of deliveries stands: a push's test, or one batch of its live send."""

    execution_id: str
    position: int
    is_test: bool
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A user who gets no message, and why."""

    user_id: UUID
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class UntrackedSend:
    """A send, or one in doubt, that the cadence service has not recorded yet."""

    page: LedgerPage
    user_id: UUID
    settled_at: datetime


def select_states(connection: Connection, page: LedgerPage) -> dict[UUID, str]:
    """Return the state of each user on this page."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT user_id, state FROM deliveries
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND is_test = %(is_test)s AND batch = %(batch)s
            """,
            _key(page),
        )
        return dict(cursor.fetchall())


def insert_refusals(
    connection: Connection, page: LedgerPage, refusals: Sequence[Refusal], now: datetime
) -> None:
    """Write down who gets no message, and why; safe to repeat."""
    if not refusals:
        return
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, reason,
                                    claimed_at, settled_at)
            VALUES %s
                ON CONFLICT DO NOTHING
            """,
            [(*_values(page), r.user_id, r.state, r.reason, now, now) for r in refusals],
            page_size=1_000,
        )


def claim_users(
    connection: Connection, page: LedgerPage, user_ids: Sequence[UUID], now: datetime
) -> set[UUID]:
    """Claim `user_ids` for a send that begins now; return those whom nobody had claimed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state,
                                    claimed_at)
            SELECT %(execution_id)s, %(position)s, %(is_test)s, %(batch)s, u, 'claimed', %(now)s
              FROM unnest(%(users)s::uuid[]) u
                ON CONFLICT DO NOTHING
            RETURNING user_id
            """,
            {**_key(page), "users": list(user_ids), "now": now},
        )
        return {row[0] for row in cursor}


def claim_again(
    connection: Connection, page: LedgerPage, user_ids: Sequence[UUID], now: datetime
) -> None:
    """Mark claims that were never settled as in doubt, for a send that begins again now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE deliveries SET was_in_doubt = true, claimed_at = %(now)s
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND is_test = %(is_test)s AND user_id = ANY(%(users)s::uuid[])
               AND state = 'claimed'
            """,
            {**_key(page), "users": list(user_ids), "now": now},
        )


def settle(
    connection: Connection, page: LedgerPage, deliveries: Iterable[Delivery], now: datetime
) -> None:
    """Write the outcomes of claimed users; an outcome once written stays.

    Failed after an attempt whose outcome is unknown is still in doubt: that one may have arrived.
    """
    rows = [(d.user_id, d.outcome.value, d.provider_id, d.reason) for d in deliveries]
    if not rows:
        return
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            cursor.mogrify(
                """
                UPDATE deliveries d
                   SET state = CASE WHEN was_in_doubt AND v.state = 'failed' THEN 'in_doubt'
                                    ELSE v.state END,
                       provider_id = v.provider_id, reason = v.reason, settled_at = %(now)s,
                       was_in_doubt = was_in_doubt OR v.state = 'in_doubt'
                  FROM (VALUES %%s) AS v (user_id, state, provider_id, reason)
                 WHERE d.execution_id = %(execution_id)s AND d.position = %(position)s
                   AND d.is_test = %(is_test)s AND d.user_id = v.user_id AND d.state = 'claimed'
                """,
                {**_key(page), "now": now},
            ),
            rows,
            template="(%s::uuid, %s, %s, %s)",
            page_size=1_000,
        )


def release_claims(connection: Connection, page: LedgerPage, user_ids: Sequence[UUID]) -> None:
    """Give back claims whose send surely never began."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM deliveries
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND is_test = %(is_test)s AND user_id = ANY(%(users)s::uuid[])
               AND state = 'claimed' AND NOT was_in_doubt
            """,
            {**_key(page), "users": list(user_ids)},
        )


def select_funnels(connection: Connection, execution_id: str) -> dict[int, dict[str, Any]]:
    """Return the live counts of each push: users by state, held back by rule, resent in doubt."""
    funnels: dict[int, dict[str, Any]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT position, state, CASE WHEN state = 'held_back' THEN reason END,
                   count(*), count(*) FILTER (WHERE was_in_doubt)
              FROM deliveries
             WHERE execution_id = %(id)s AND NOT is_test
             GROUP BY 1, 2, 3
            """,
            {"id": execution_id},
        )
        for position, state, rule, users, doubtful in cursor:
            funnel = funnels.setdefault(position, {"states": {}, "rules": {}, "in_doubt": 0})
            funnel["states"][state] = funnel["states"].get(state, 0) + users
            funnel["in_doubt"] += doubtful
            if rule is not None:
                funnel["rules"][rule] = users
    return funnels


def select_reasons(connection: Connection, page: LedgerPage, limit: int = 5) -> list[str]:
    """Return the most frequent reasons why sends on this page's push failed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT reason FROM deliveries
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND is_test = %(is_test)s AND state <> 'sent' AND reason IS NOT NULL
             GROUP BY reason ORDER BY count(*) DESC, reason LIMIT %(limit)s
            """,
            {**_key(page), "limit": limit},
        )
        return [row[0] for row in cursor]


def select_untracked(
    connection: Connection, settled_before: datetime, limit: int
) -> list[UntrackedSend]:
    """Return sends, oldest first, that the cadence service has not recorded."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT execution_id, position, is_test, batch, user_id, settled_at
              FROM deliveries
             WHERE state IN ('sent', 'in_doubt') AND tracked_at IS NULL
               AND settled_at <= %(before)s
             ORDER BY settled_at
             LIMIT %(limit)s
            """,
            {"before": settled_before, "limit": limit},
        )
        return [UntrackedSend(LedgerPage(*row[:4]), row[4], row[5]) for row in cursor]


def select_untracked_of(connection: Connection, page: LedgerPage) -> list[UntrackedSend]:
    """Return the sends of this page that the cadence service has not recorded."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT execution_id, position, is_test, batch, user_id, settled_at
              FROM deliveries
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND is_test = %(is_test)s AND batch = %(batch)s
               AND state IN ('sent', 'in_doubt') AND tracked_at IS NULL
            """,
            _key(page),
        )
        return [UntrackedSend(LedgerPage(*row[:4]), row[4], row[5]) for row in cursor]


def mark_tracked(connection: Connection, sends: Sequence[UntrackedSend], now: datetime) -> None:
    """Note that the cadence service has recorded `sends`."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            cursor.mogrify(
                """
                UPDATE deliveries d SET tracked_at = %(now)s
                  FROM (VALUES %%s) AS v (execution_id, position, is_test, user_id)
                 WHERE d.execution_id = v.execution_id AND d.position = v.position
                   AND d.is_test = v.is_test AND d.user_id = v.user_id
                """,
                {"now": now},
            ),
            [(s.page.execution_id, s.page.position, s.page.is_test, s.user_id) for s in sends],
            template="(%s, %s, %s, %s::uuid)",
            page_size=1_000,
        )


def select_deliveries(
    connection: Connection, execution_id: str, after: tuple[int, UUID] | None, limit: int
) -> list[Mapping[str, Any]]:
    """Return the execution's ledger by push and user: who got what, and why not."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT position, user_id, state, reason, provider_id, was_in_doubt, claimed_at,
                   settled_at
              FROM deliveries
             WHERE execution_id = %(id)s AND NOT is_test
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
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _key(page: LedgerPage) -> dict[str, object]:
    return {
        "execution_id": page.execution_id,
        "position": page.position,
        "is_test": page.is_test,
        "batch": page.batch,
    }


def _values(page: LedgerPage) -> tuple[object, ...]:
    return page.execution_id, page.position, page.is_test, page.batch
