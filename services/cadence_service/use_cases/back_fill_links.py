"""Back-fill deep links of recorded notifications from the logs of the pushes."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cadence_service.adapters.deep_links import fill_links
from cadence_service.domain.log_match import NEAR, LinkLog
from chassis.postgres import BulkDatabase

#: How many logs are worked through in one transaction.
PAGE: Final = 50


def back_fill_links(database: BulkDatabase, logs: Sequence[LinkLog]) -> int:
    """Give each send without a link the link of the first log of its title and instant.

    A send stays as it is if that log has no link. Return how many sends got one. Logs are worked
    through page by page, so that the work ends soon after its client has gone; what is done stays,
    and a repetition does the rest.
    """
    without_link: dict[str, list[datetime]] = defaultdict(list)
    filled = 0
    for first in range(0, len(logs), PAGE):
        with database.transaction() as connection:
            for log in logs[first : first + PAGE]:
                earlier = without_link[log.title]
                if log.deep_link is None:
                    insort(earlier, log.at)
                    continue
                near = earlier[
                    bisect_left(earlier, log.at - 2 * NEAR) : bisect_right(
                        earlier, log.at + 2 * NEAR
                    )
                ]
                filled += fill_links(connection, log.title, log.deep_link, log.at, NEAR, near)
    return filled
