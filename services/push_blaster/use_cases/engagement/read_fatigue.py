"""Read the fatigue curve: how opening changes with how many pushes users had before."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from chassis.postgres import Database
from push_blaster.adapters.engagement.push_sample import (
    LevelCounts,
    SampleCounts,
    count_sample,
    find_span,
    read_share,
)
from push_blaster.domain.engagement.fatigue import Exposure, StratumPair, find_relative_rates
from push_blaster.domain.engagement.fatigue_curve import FatigueCurve, describe_levels, say_curve


def read_fatigue(database: Database, layer_id: int | None, now: datetime) -> FatigueCurve:
    """Return the curve of one layer, or of all layers together."""
    with database.transaction() as connection:
        span = find_span(connection, now)
        share_of_users = read_share(connection)
        counts = count_sample(connection, span, layer_id) if span else SampleCounts(0, [], [])
    opting_out = find_relative_rates(pair_opt_outs(counts.levels))
    opening = find_relative_rates(counts.pairs)
    levels = describe_levels(_add_up(counts.levels), opening, opting_out)
    return FatigueCurve(
        layer_id=layer_id,
        since=span.since if span else None,
        until=span.until if span else None,
        users=counts.users,
        share_of_users=share_of_users,
        levels=levels,
        sentence=say_curve(levels),
    )


def pair_opt_outs(counts: Sequence[LevelCounts]) -> Iterator[StratumPair]:
    """Yield the opt-outs at level 1 and at each other level, for each number of planned pushes."""
    first = {one.planned: _opt_outs(one) for one in counts if one.level == 1}
    for one in counts:
        if one.level > 1 and one.planned in first:
            yield StratumPair(one.level, first[one.planned], _opt_outs(one))


def _opt_outs(counts: LevelCounts) -> Exposure:
    return Exposure(counts.pushes, counts.opted_out)


def _add_up(counts: Iterable[LevelCounts]) -> dict[int, tuple[int, int, int]]:
    """Return the pushes of each level, those that were opened, and the opt-outs."""
    by_level = groupby(sorted(counts, key=_level), _level)
    return {level: _sum(alike) for level, alike in by_level}


def _level(counts: LevelCounts) -> int:
    return counts.level


def _sum(counts: Iterable[LevelCounts]) -> tuple[int, int, int]:
    pushes, opened, opted_out = zip(
        *((c.pushes, c.opened, c.opted_out) for c in counts), strict=True
    )
    return sum(pushes), sum(opened), sum(opted_out)
