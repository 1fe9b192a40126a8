"""Compare the pushes that cadence rules would cap with the other pushes to the same users."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from chassis.postgres import Database
from push_blaster.adapters.engagement.push_sample import GotPush, find_span, stream_pushes
from push_blaster.domain.cadence.caps import Cap, PastPush, find_capped
from push_blaster.domain.engagement.comparison import Comparison
from push_blaster.domain.engagement.fatigue import Exposure, StratumPair, find_relative_rates
from push_blaster.domain.engagement.fatigue_curve import describe_capped

#: The level of the pushes that the rules would cap; the others are level 1.
_CAPPED = 2


def compare_capped(database: Database, caps: Sequence[Cap], now: datetime) -> Comparison:
    """Return how often users opened the pushes that the caps would cap, within users."""
    with database.transaction() as connection:
        span = find_span(connection, now)
        pushes = stream_pushes(connection, span.until) if span else iter(())
        users = groupby(pushes, attrgetter("user_id"))
        since = span.since if span else now
        rates = find_relative_rates(_pair(caps, list(own), since) for _, own in users)
    return describe_capped(rates.get(_CAPPED))


def _pair(caps: Sequence[Cap], pushes: Sequence[GotPush], since: datetime) -> StratumPair:
    """Return one user's pushes of the span that pass the caps, and those that do not."""
    capped = find_capped(caps, [PastPush(push.layer_id, push.at) for push in pushes], since)
    found: dict[bool, list[bool]] = {False: [], True: []}
    for push, is_capped in zip(pushes, capped, strict=True):
        if push.at >= since:
            found[is_capped].append(push.is_opened)
    passed, others = (Exposure(len(found[one]), sum(found[one])) for one in (False, True))
    return StratumPair(_CAPPED, passed, others)
