"""Deep links of recorded notifications that have none yet."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg import sql

from cadence_service.adapters.notification_record import MessageTexts, upsert_messages
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all, stream_rows


class LinklessMessage(NamedTuple):
    """A message without a link; its title without the space around it."""

    id: int
    title: str
    body: str
    audience_description: str


class LinklessSend(NamedTuple):
    """A message without a link, and an instant at which somebody got it."""

    message_id: int
    sent_at: datetime


def select_linkless_messages(
    connection: BulkConnection, titles: Sequence[str]
) -> list[LinklessMessage]:
    """Return the messages of these titles that have no link."""
    sql = """
        SELECT id, btrim(push_title), coalesce(push_body, ''), coalesce(audience_description, '')
          FROM messages
         WHERE btrim(push_title) = ANY(%(titles)s::text[]) AND coalesce(deep_link, '') = ''
    """
    return fetch_all(connection, sql, {"titles": list(titles)}, make=LinklessMessage)


def stream_linkless_sends(
    connection: BulkConnection, partition: str, message_ids: Sequence[int]
) -> Iterator[LinklessSend]:
    """Yield when these messages were sent in a partition of the history, each instant once."""
    select = sql.SQL(
        "SELECT DISTINCT message_id, sent_at FROM {} WHERE message_id = ANY(%(ids)s::int[])"
    ).format(sql.Identifier(partition))
    return map(LinklessSend._make, stream_rows(connection, select, {"ids": list(message_ids)}))


def fill_links(
    connection: BulkConnection, partition: str, texts: Mapping[LinklessSend, MessageTexts]
) -> int:
    """Give sends in a partition of the history texts with a link; return how many sends changed."""
    ids = upsert_messages(connection, texts.values())
    digests = {text: text.digest for text in set(texts.values())}
    update = sql.SQL(
        """
        UPDATE {} n SET message_id = v.new
          FROM unnest(%(old)s::int[], %(instants)s::timestamptz[], %(new)s::int[])
               AS v (old, sent_at, new)
         WHERE n.message_id = v.old AND n.sent_at = v.sent_at
        """
    ).format(sql.Identifier(partition))
    values = {
        "old": [send.message_id for send in texts],
        "instants": [send.sent_at for send in texts],
        "new": [ids[digests[text]] for text in texts.values()],
    }
    return execute(connection, update, values)
