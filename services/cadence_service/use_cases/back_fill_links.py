"""Back-fill deep links of recorded notifications from the logs of the pushes."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from cadence_service.adapters.deep_links import fill_links
from cadence_service.domain.log_match import NEAR, LinkLog
from chassis.postgres import BulkConnection


def back_fill_links(connection: BulkConnection, logs: Sequence[LinkLog]) -> int:
    """Give each send without a link the link of the first log of its title and instant.

    A send stays as it is if that log has no link. Return how many sends got one.
    """
    without_link: dict[str, list[datetime]] = defaultdict(list)
    filled = 0
    for log in logs:
        if log.deep_link is None:
            without_link[log.title].append(log.at)
        else:
            settled = without_link[log.title]
            filled += fill_links(connection, log.title, log.deep_link, log.at, NEAR, settled)
    return filled
