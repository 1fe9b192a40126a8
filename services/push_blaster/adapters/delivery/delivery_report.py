"""What the ledger tells: counts by outcome, the usual reasons, and who got what."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.delivery.delivery_ledger import LedgerPage, key_of
from push_blaster.domain.delivery.ledger import LedgerCounts

#: So many reasons show which ones are the most frequent.
REASONS_LOOKED_AT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the ledger of an execution a reader stands."""

    position: int
    batch: int
    user_id: UUID


#: The users of the batch `b`, counted: deferred by the user's own time is `held`.
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
    """Keep the counts of a batch, if it is done: nothing about its users changes any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE send_batches b
               SET counts = (SELECT coalesce(jsonb_agg(c), '[]') FROM ({_COUNTED}) c)
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND batch = %(batch)s AND done_at IS NOT NULL
            """,  # noqa: S608 - a constant
            key_of(page),
        )


def select_ledger_counts(connection: Connection, execution_id: str) -> dict[int, LedgerCounts]:
    """Return the live counts of the ledger, by the position of the push."""
    rows = fetch_all(
        connection,
        f"""
        SELECT position, state, rule, variant, sum(users)::int, sum(doubtful)::int
          FROM (SELECT b.position, c.*
                  FROM send_batches b, jsonb_to_recordset(b.counts)
                       AS c (state text, rule text, variant text, users int, doubtful int)
                 WHERE b.execution_id = %(id)s AND b.counts IS NOT NULL
                 UNION ALL
                SELECT b.position, c.*
                  FROM send_batches b, LATERAL ({_COUNTED}) c
                 WHERE b.execution_id = %(id)s AND b.counts IS NULL AND b.fence > 0) counted
         GROUP BY 1, 2, 3, 4
        """,  # noqa: S608 - a constant
        {"id": execution_id},
        make=_CountedUsers,
    )
    positions = {row.position for row in rows}
    return {at: _add_up([row for row in rows if row.position == at]) for at in positions}


class _CountedUsers(NamedTuple):
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
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT reason
              FROM (SELECT reason FROM deliveries
                     WHERE execution_id = %(execution_id)s AND position = %(position)s
                       AND is_test = %(is_test)s AND state <> 'sent' AND reason IS NOT NULL
                     LIMIT %(looked_at)s) reasons
             GROUP BY reason ORDER BY count(*) DESC, reason LIMIT %(limit)s
            """,
            {**key_of(page), "limit": limit, "looked_at": REASONS_LOOKED_AT},
        )
        return [row[0] for row in cursor]


def select_deliveries(
    connection: Connection,
    execution_id: str,
    after: Place | None,
    limit: int,
    user_id: UUID | None = None,
) -> list[Mapping[str, Any]]:
    """Return the execution's ledger by push, batch and user, or one user's part of it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT position, batch, user_id, state, reason, provider_id, variant, was_in_doubt,
                   claimed_at, settled_at
              FROM deliveries
             WHERE execution_id = %(id)s AND NOT is_test
               AND (%(of)s::uuid IS NULL OR user_id = %(of)s::uuid)
               AND (position, batch, user_id) > (%(position)s, %(batch)s, %(user)s::uuid)
             ORDER BY position, batch, user_id
             LIMIT %(limit)s
            """,
            {
                "id": execution_id,
                "position": after.position if after else 0,
                "batch": after.batch if after else 0,
                "user": after.user_id if after else UUID(int=0),
                "of": user_id,
                "limit": limit,
            },
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]
