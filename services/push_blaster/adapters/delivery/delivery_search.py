"""Questions to the ledger that cross its grain: by user, by device, and all of it as a stream."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection
from push_blaster.adapters.automations.automation_document import pick_push

#: How much of a stream is fetched at once.
ROWS_AT_ONCE: Final = 5_000


def select_failed_tokens(connection: Connection, execution_id: str, limit: int) -> list[str]:
    """Return the registered tokens by which users of the execution could not be reached.

    Of a user with several devices, the dead one where a dead token was the reason, else the newest.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (f.user_id) v.token
              FROM deliveries f
              JOIN devices v ON v.user_id = f.user_id
             WHERE f.execution_id = %(id)s AND NOT f.is_test
               AND f.state IN ('failed', 'token_dead')
             ORDER BY f.user_id, (v.dead_at IS NOT NULL) = (f.state = 'token_dead') DESC,
                      v.last_seen_at DESC, v.token
             LIMIT %(limit)s
            """,
            {"id": execution_id, "limit": limit},
        )
        return [row[0] for row in cursor]


def select_deliveries_of(
    connection: Connection,
    user_id: UUID,
    before: tuple[datetime, str] | None,
    limit: int,
    execution_id: str | None = None,
) -> list[dict[str, Any]]:
    """Return what became of the user, newest first, in one or every execution; after `before`.

    Shape: a delivery's `entry` tells it from others of the same instant.
    """
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT * FROM (
            SELECT d.execution_id, e.automation_id, e.automation_name, e.mode, d.position,
                   d.is_test, d.user_id, d.state, d.reason, d.provider_id, d.variant,
                   d.was_in_doubt, d.claimed_at, d.settled_at,
                   e.snapshot -> 'pushSequence' AS pushes,
                   concat_ws('/', d.execution_id, d.position, d.is_test) AS entry
              FROM deliveries d
              JOIN executions e ON e.id = d.execution_id
             WHERE d.user_id = %(user)s
               AND (%(execution_id)s::text IS NULL OR d.execution_id = %(execution_id)s)) found
             WHERE %(at)s::timestamptz IS NULL
                OR (claimed_at, entry) < (%(at)s::timestamptz, %(entry)s)
             ORDER BY claimed_at DESC, entry DESC
             LIMIT %(limit)s
            """,
            {
                "user": user_id,
                "execution_id": execution_id,
                "at": before[0] if before else None,
                "entry": before[1] if before else None,
                "limit": limit,
            },
        )
        return [_with_texts(row) for row in cursor]


def stream_deliveries(connection: Connection, execution_id: str) -> Iterator[tuple[Any, ...]]:
    """Yield the execution's whole ledger, by push and batch, in constant memory.

    Shape: position, user, state, reason, provider's id, variant, whether it was in doubt, claimed,
    settled.
    """
    with connection.cursor("ledger") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(
            """
            SELECT position, user_id, state, reason, provider_id, variant, was_in_doubt, claimed_at,
                   settled_at
              FROM deliveries
             WHERE execution_id = %(id)s AND NOT is_test
             ORDER BY position, batch
            """,
            {"id": execution_id},
        )
        yield from cursor


def _with_texts(row: Mapping[str, Any]) -> dict[str, Any]:
    push = pick_push(row["pushes"], row["position"])
    return {**row, "title": push["title"], "body": push["body"], "layer_id": push["layerId"]}
