"""Deep links of recorded notifications that have none yet."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from cadence_service.adapters.notification_record import MessageTexts, upsert_messages
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all


def fill_links(
    connection: BulkConnection,
    title: str,
    deep_link: str,
    at: datetime,
    near: timedelta,
    settled: Sequence[datetime],
) -> int:
    """Give `deep_link` to sends of this title near `at` that have no link; return how many.

    Shape: sends near one of `settled` belong to an earlier log without a link, and stay as they
    are.
    """
    filled = 0
    for message in _select_linkless(connection, title):
        texts = MessageTexts(title, message.body, message.audience_description, deep_link)
        linked = upsert_messages(connection, [texts])[texts.digest]
        filled += execute(
            connection,
            """
            UPDATE user_notifications n SET message_id = %(new)s
             WHERE n.message_id = %(old)s AND n.sent_at BETWEEN %(from)s AND %(until)s
               AND NOT EXISTS (
                   SELECT 1 FROM unnest(%(settled)s::timestamptz[]) s
                    WHERE n.sent_at BETWEEN s - %(near)s AND s + %(near)s)
            """,
            {
                "old": message.id,
                "new": linked,
                "from": at - near,
                "until": at + near,
                "near": near,
                "settled": list(settled),
            },
        )
    return filled


class _LinklessMessage(NamedTuple):
    id: int
    body: str
    audience_description: str


def _select_linkless(connection: BulkConnection, title: str) -> list[_LinklessMessage]:
    return fetch_all(
        connection,
        """
        SELECT id, coalesce(push_body, ''), coalesce(audience_description, '') FROM messages
         WHERE btrim(push_title) = %(title)s AND coalesce(deep_link, '') = ''
        """,
        {"title": title},
        make=_LinklessMessage,
    )
