"""The pages of the ledger that the cadence service has not recorded yet."""

from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one
from push_blaster.domain.delivery.ledger import LedgerPage


def select_untracked_pages(
    connection: Connection, settled_before: datetime, limit: int
) -> list[LedgerPage]:
    """Return finished pages whose sends cadence has not recorded, the oldest first."""
    sql = """
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
    """
    return fetch_all(connection, sql, {"before": settled_before, "limit": limit}, make=LedgerPage)


#: The deliveries of a page that were sent, or may have been.
_SENT: Final = """
          FROM deliveries
         WHERE execution_id = %(execution_id)s AND position = %(position)s
           AND is_test = %(is_test)s AND batch = %(batch)s
           AND state IN ('sent', 'in_doubt')
"""


def select_sends(connection: Connection, page: LedgerPage) -> dict[UUID, datetime]:
    """Return the users of this page who got the message, or may have got it, with the time."""
    rows = fetch_all(connection, f"SELECT user_id, settled_at {_SENT}", page._asdict())
    return dict(rows)


def select_sent_users(connection: Connection, page: LedgerPage) -> tuple[bytes, datetime | None]:
    """Return the users of this page who got the message, or may have, and the last send's time.

    Shape: each user is an id of 16 bytes, one after the other.
    """
    sql = f"SELECT string_agg(uuid_send(user_id), ''::bytea), max(settled_at) {_SENT}"
    users, last = fetch_one(connection, sql, page._asdict()) or (None, None)
    return bytes(users or b""), last


def mark_tracked(connection: Connection, page: LedgerPage, now: datetime) -> None:
    """Mark that the cadence service has recorded the sends of this page."""
    execute(
        connection,
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
