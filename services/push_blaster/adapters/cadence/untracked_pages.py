"""Which pages of the ledger the cadence service has not been told of yet."""

from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from push_blaster.domain.delivery.ledger import LedgerPage


def select_untracked_pages(
    connection: Connection, settled_before: datetime, limit: int
) -> list[LedgerPage]:
    """Return pages that are done, oldest first, and whose sends cadence has not recorded."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            (SELECT execution_id, position, false, batch
               FROM send_batches
              WHERE done_at <= %(before)s AND tracked_at IS NULL
              ORDER BY done_at
              LIMIT %(limit)s)
            UNION ALL
            (SELECT DISTINCT execution_id, position, true, batch
               FROM deliveries
              WHERE is_test AND tracked_at IS NULL AND settled_at <= %(before)s
                AND state IN ('sent', 'in_doubt')
              LIMIT %(limit)s)
            """,
            {"before": settled_before, "limit": limit},
        )
        return [LedgerPage(*row) for row in cursor]


#: Who of a page has a message, or may have one.
_SENT: Final = """
              FROM deliveries
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND is_test = %(is_test)s AND batch = %(batch)s
               AND state IN ('sent', 'in_doubt')
"""


def select_sends(connection: Connection, page: LedgerPage) -> dict[UUID, datetime]:
    """Return who of this page has a message, or may have one, and since when."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT user_id, settled_at {_SENT}", page._asdict())
        return dict(cursor.fetchall())


def select_sent_users(connection: Connection, page: LedgerPage) -> tuple[bytes, datetime | None]:
    """Return who of this page has a message, or may have one, and when the last one got it.

    Shape: ids of 16 bytes, one after the other.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT string_agg(uuid_send(user_id), ''::bytea), max(settled_at) {_SENT}",
            page._asdict(),
        )
        users, last = cursor.fetchone() or (None, None)
    return bytes(users or b""), last


def mark_tracked(connection: Connection, page: LedgerPage, now: datetime) -> None:
    """Note that the cadence service has recorded the sends of this page."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE deliveries SET tracked_at = %(now)s
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND batch = %(batch)s AND is_test AND state NOT IN ('claimed', 'deferred')
            """
            if page.is_test
            else """
            UPDATE send_batches SET tracked_at = %(now)s
             WHERE execution_id = %(execution_id)s AND position = %(position)s
               AND batch = %(batch)s
            """,
            {**page._asdict(), "now": now},
        )
