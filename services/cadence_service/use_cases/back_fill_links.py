"""Back-fill deep links of recorded notifications from the logs of the pushes."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from cadence_service.adapters.deep_links import (
    LinklessMessage,
    LinklessSend,
    fill_links,
    select_linkless_messages,
    stream_linkless_sends,
)
from cadence_service.adapters.notification_record import MessageTexts
from cadence_service.adapters.partitions import select_partitions
from cadence_service.domain.log_match import NEAR, LinkLog, LinksByTitle
from chassis.postgres import BulkConnection, BulkDatabase

#: How many instants of messages one statement fills.
PAGE: Final = 20_000


def back_fill_links(database: BulkDatabase, logs: Sequence[LinkLog]) -> int:
    """Give each send without a link the link of the first log of its title and instant.

    A send stays as it is if that log has no link. Return how many sends got a link. The work goes
    through the history week by week, so that it ends soon after its client has gone; finished weeks
    stay finished, and a repetition does the rest.
    """
    if not logs:
        return 0
    links = LinksByTitle(logs)
    first, last = (edge(log.at for log in logs) for edge in (min, max))
    with database.transaction() as connection:
        messages = {m.id: m for m in select_linkless_messages(connection, links.titles)}
        weeks = select_partitions(connection, first - NEAR, last + NEAR) if messages else []
    filled = 0
    for week in weeks:
        with database.transaction() as connection:
            found = _match(connection, week, messages, links)
            while page := dict(islice(found, PAGE)):
                filled += fill_links(connection, week, page)
    return filled


def _match(
    connection: BulkConnection,
    week: str,
    messages: dict[int, LinklessMessage],
    links: LinksByTitle,
) -> Iterator[tuple[LinklessSend, MessageTexts]]:
    """Yield each message and instant of the week that gets a link, with the new texts."""
    for send in stream_linkless_sends(connection, week, list(messages)):
        message = messages[send.message_id]
        link = links.find_link(message.title, send.sent_at)
        if link is not None:
            yield (
                send,
                MessageTexts(message.title, message.body, message.audience_description, link),
            )
