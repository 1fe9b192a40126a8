"""Deep links of recorded notifications that have none yet."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cadence_service.adapters.notification_record import MessageTexts, upsert_messages
from chassis.postgres import BulkConnection


def fill_links(
    connection: BulkConnection,
    title: str,
    deep_link: str,
    at: datetime,
    near: timedelta,
    settled: Sequence[datetime],
) -> int:
    """Give `deep_link` to sends of this title near `at` that have none; return how many.

    Shape: sends near one of `settled` belong to an earlier log that has no link; they stay.
    """
    filled = 0
    for message_id, body, description in _select_linkless(connection, title):
        texts = MessageTexts(title, body, description, deep_link)
        linked = upsert_messages(connection, [texts])[texts.digest]
        parameters: dict[str, Any] = {
            "old": message_id,
            "new": linked,
            "from": at - near,
            "until": at + near,
            "near": near,
            "settled": list(settled),
        }
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE user_notifications n SET message_id = %(new)s
                 WHERE n.message_id = %(old)s AND n.sent_at BETWEEN %(from)s AND %(until)s
                   AND NOT EXISTS (
                       SELECT 1 FROM unnest(%(settled)s::timestamptz[]) s
                        WHERE n.sent_at BETWEEN s - %(near)s AND s + %(near)s)
                """,
                parameters,
            )
            filled += cursor.rowcount
    return filled


def _select_linkless(connection: BulkConnection, title: str) -> list[tuple[int, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, coalesce(push_body, ''), coalesce(audience_description, '') FROM messages
             WHERE btrim(push_title) = %(title)s AND coalesce(deep_link, '') = ''
            """,
            {"title": title},
        )
        return list(cursor.fetchall())
