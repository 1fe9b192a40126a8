"""Reports of the ledger: the usual reasons, and the outcome of each user."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all, fetch_values, stream_rows
from push_blaster.domain.delivery.ledger import LedgerPage

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
