"""The first messages of many pushes, which one engine claims and sends together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import array_of, execute, fetch_all, insert_many
from push_blaster.domain.audiences.audience import Batch
from push_blaster.domain.delivery.ledger import LedgerPage

#: The first batch of a push, when its engine holds it from the beginning.
FIRST: Final = 0
FIRST_FENCE: Final = 1


class FirstMessage(NamedTuple):
    """The user of a message, the page, and the variant of the push."""

    page: LedgerPage
    user_id: UUID
    variant: str | None


def insert_taken_batches(
    connection: Connection,
    batches: Sequence[tuple[LedgerPage, Sequence[Batch]]],
    engine_id: str,
    now: datetime,
) -> None:
    """Insert the batches of pushes that begin; the engine holds the first batch of each push."""
    sql = """
        INSERT INTO send_batches (execution_id, position, batch, start_offset, row_count, fence,
                                  taken_by, handed_out_at)
        VALUES %s
    """
    rows = [
        (page.execution_id, page.position, b.number, b.offset, b.rows)
        + ((FIRST_FENCE, engine_id, now) if b.number == FIRST else (0, None, None))
        for page, own in batches
        for b in own
    ]
    insert_many(connection, sql, rows)


def claim_first(
    connection: Connection, messages: Sequence[FirstMessage], now: datetime
) -> set[tuple[str, UUID]]:
    """Claim users of many pages for a send that begins now.

    Shape: the claimed users, each with the execution.
    """
    sql = """
        INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, variant,
                                claimed_at)
        SELECT v.execution_id, v.position, false, %(batch)s, v.user_id, 'claimed', v.variant,
               %(now)s
          FROM unnest(%(ids)s::text[], %(positions)s::int[], %(users)s::uuid[],
                      %(variants)s::text[]) AS v (execution_id, position, user_id, variant)
            ON CONFLICT DO NOTHING
        RETURNING execution_id, user_id
    """
    values = {
        "batch": FIRST,
        "now": now,
        "ids": [m.page.execution_id for m in messages],
        "positions": [m.page.position for m in messages],
        "users": array_of(m.user_id for m in messages),
        "variants": [m.variant for m in messages],
    }
    return set(fetch_all(connection, sql, values))


_HELD: Final = """
      FROM unnest(%(ids)s::text[], %(positions)s::int[]) AS v (execution_id, position)
     WHERE b.execution_id = v.execution_id AND b.position = v.position AND b.batch = %(batch)s
       AND b.fence = %(fence)s AND b.done_at IS NULL
"""


def keep_first_batches(connection: Connection, pages: Sequence[LedgerPage], now: datetime) -> bool:
    """Note that first batches are being sent; False if another engine has taken one of them."""
    sql = f"UPDATE send_batches b SET handed_out_at = %(now)s {_HELD}"  # noqa: S608 - a constant
    return execute(connection, sql, {**_keys(pages), "now": now}) == len(pages)


def give_back_first_batches(connection: Connection, pages: Sequence[LedgerPage]) -> None:
    """Let any engine send the rest of first batches, and end these batches."""
    sql = f"UPDATE send_batches b SET handed_out_at = NULL {_HELD}"  # noqa: S608 - a constant
    execute(connection, sql, _keys(pages))


def _keys(pages: Sequence[LedgerPage]) -> dict[str, object]:
    return {
        "ids": [page.execution_id for page in pages],
        "positions": [page.position for page in pages],
        "batch": FIRST,
        "fence": FIRST_FENCE,
    }
