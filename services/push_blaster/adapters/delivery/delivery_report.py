"""Reports of the ledger: counts by outcome, the usual reasons, and the outcome of each user."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_values, stream_rows
from push_blaster.domain.delivery.ledger import LedgerCounts, LedgerPage

#: How many reasons are read to find the most frequent ones.
REASONS_LOOKED_AT: Final = 10_000


class LedgerPlace(NamedTuple):
    """Where in the ledger of an execution a reader stands."""

    position: int
    batch: int
    user_id: UUID


class LedgerRow(NamedTuple):
    """The outcome of one user of one push."""

    position: int
    batch: int
    user_id: UUID
    state: str
    reason: str | None
    provider_id: str | None
    variant: str | None
    was_in_doubt: bool
    claimed_at: datetime
    settled_at: datetime | None

    @property
    def place(self) -> LedgerPlace:
        """Return where in the ledger the row stands."""
        return LedgerPlace(self.position, self.batch, self.user_id)


#: The counts of the users of the batch `b`; a user who awaits a send window counts as `held`.
_COUNTED: Final = """
    SELECT CASE WHEN d.state = 'deferred' AND d.tries = 0 THEN 'held' ELSE d.state END AS state,
           CASE WHEN d.state = 'held_back' THEN d.reason END AS rule, d.variant,
           count(*) AS users, count(*) FILTER (WHERE d.was_in_doubt) AS doubtful
      FROM deliveries d
     WHERE d.execution_id = b.execution_id AND NOT d.is_test AND d.position = b.position
       AND d.batch = b.batch
     GROUP BY 1, 2, 3
"""


def keep_counts(connection: Connection, page: LedgerPage) -> None:
    """Keep the counts of a batch if it is done: its users do not change any more."""
    sql = f"""
        UPDATE send_batches b
           SET counts = (SELECT coalesce(jsonb_agg(c), '[]') FROM ({_COUNTED}) c)
         WHERE execution_id = %(execution_id)s AND position = %(position)s
           AND batch = %(batch)s AND done_at IS NOT NULL
    """  # noqa: S608 - a constant
    execute(connection, sql, page._asdict())


def select_ledger_counts(connection: Connection, execution_id: str) -> dict[int, LedgerCounts]:
    """Return the live counts of the ledger, by the position of the push."""
    return select_counts_of(connection, [execution_id]).get(execution_id, {})


def select_counts_of(
    connection: Connection, execution_ids: Sequence[str]
) -> dict[str, dict[int, LedgerCounts]]:
    """Return the live counts of the ledger, by execution and by the position of the push."""
    sql = f"""
        SELECT execution_id, position, state, rule, variant, sum(users)::int, sum(doubtful)::int
          FROM (SELECT b.execution_id, b.position, c.*
                  FROM send_batches b, jsonb_to_recordset(b.counts)
                       AS c (state text, rule text, variant text, users int, doubtful int)
                 WHERE b.execution_id = ANY(%(ids)s) AND b.counts IS NOT NULL
                 UNION ALL
                SELECT b.execution_id, b.position, c.*
                  FROM send_batches b, LATERAL ({_COUNTED}) c
                 WHERE b.execution_id = ANY(%(ids)s) AND b.counts IS NULL AND b.fence > 0) counted
         GROUP BY 1, 2, 3, 4, 5
    """  # noqa: S608 - a constant
    rows = fetch_all(connection, sql, {"ids": list(execution_ids)}, make=_CountedUsers)
    counted: defaultdict[str, defaultdict[int, list[_CountedUsers]]]
    counted = defaultdict(lambda: defaultdict(list))
    for row in rows:
        counted[row.execution_id][row.position].append(row)
    return {
        execution_id: {at: _add_up(users) for at, users in by_position.items()}
        for execution_id, by_position in counted.items()
    }


class _CountedUsers(NamedTuple):
    execution_id: str
    position: int
    state: str
    rule: str | None
    variant: str | None
    users: int
    doubtful: int


def _add_up(rows: Sequence[_CountedUsers]) -> LedgerCounts:
    states: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    variants: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        states[row.state] += row.users
        if row.rule is not None:
            rules[row.rule] += row.users
        if row.variant is not None:
            variants[row.variant][row.state] += row.users
    doubtful = sum(row.doubtful for row in rows)
    return LedgerCounts(states=states, rules=rules, variants=variants, ever_in_doubt=doubtful)


def select_reasons(connection: Connection, page: LedgerPage, limit: int = 5) -> list[str]:
    """Return the most frequent reasons why sends on this page's push failed; of many, a part."""
    sql = """
        SELECT reason
          FROM (SELECT reason FROM deliveries
                 WHERE execution_id = %(execution_id)s AND position = %(position)s
                   AND is_test = %(is_test)s AND state <> 'sent' AND reason IS NOT NULL
                 LIMIT %(looked_at)s) reasons
         GROUP BY reason ORDER BY count(*) DESC, reason LIMIT %(limit)s
    """
    return fetch_values(
        connection, sql, {**page._asdict(), "limit": limit, "looked_at": REASONS_LOOKED_AT}
    )


_COLUMNS: Final = ", ".join(LedgerRow._fields)


def select_deliveries(
    connection: Connection,
    execution_id: str,
    after: LedgerPlace | None,
    limit: int,
    user_id: UUID | None = None,
) -> list[LedgerRow]:
    """Return the execution's ledger by push, batch and user, or one user's part of it."""
    place = after or LedgerPlace(0, 0, UUID(int=0))
    sql = f"""
        SELECT {_COLUMNS}
          FROM deliveries
         WHERE execution_id = %(id)s AND NOT is_test
           AND (%(of)s::uuid IS NULL OR user_id = %(of)s::uuid)
           AND (position, batch, user_id) > (%(position)s, %(batch)s, %(user_id)s::uuid)
         ORDER BY position, batch, user_id
         LIMIT %(limit)s
    """  # noqa: S608 - a constant
    return fetch_all(
        connection,
        sql,
        {**place._asdict(), "id": execution_id, "of": user_id, "limit": limit},
        make=LedgerRow,
    )


def stream_deliveries(connection: Connection, execution_id: str) -> Iterator[LedgerRow]:
    """Yield the execution's whole ledger, by push and batch, in constant memory."""
    sql = f"""
        SELECT {_COLUMNS}
          FROM deliveries
         WHERE execution_id = %(id)s AND NOT is_test
         ORDER BY position, batch
    """  # noqa: S608 - a constant
    return map(LedgerRow._make, stream_rows(connection, sql, {"id": execution_id}))
