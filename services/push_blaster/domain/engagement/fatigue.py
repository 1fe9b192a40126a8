"""How an event of pushes changes with how many pushes a user had in the 7 days before.

Users who get more pushes open more, so a user is compared with the same user: the ratio of
Mantel and Haenszel, with the user as stratum, and the interval of Greenland and Robins (1985).
An opt-out ends what can be seen of a user. For opt-outs, the stratum is therefore all users for
whom equally many pushes were planned.
Source: docs/statistics.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

#: Level 1 is a user's first push in 7 days; the last level has all pushes after it, too.
LEVELS: Final = 6
_TWO_SIDES = NormalDist().inv_cdf(0.975)


class Exposure(NamedTuple):
    """The pushes of one stratum at one level, and how many of them had the event."""

    pushes: int
    events: int


class StratumPair(NamedTuple):
    """The pushes of a stratum at level 1 and at another level.

    Shape: `strata` counts the strata with exactly these numbers.
    """

    level: int
    first: Exposure
    other: Exposure
    strata: int = 1


@dataclass(frozen=True, slots=True)
class RelativeRate:
    """The rate at a level by the rate of the same strata at level 1, with its interval."""

    ratio: float
    low: float
    high: float
    strata: int
    events: int


@dataclass(slots=True)
class _Sums:
    """Sums over the strata that have pushes at level 1 and at one other level."""

    strata: int = 0
    events: int = 0
    observed: float = 0.0
    expected: float = 0.0
    variance: float = 0.0

    def add(self, pair: StratumPair) -> None:
        first, other, strata = pair.first, pair.other, pair.strata
        total = first.pushes + other.pushes
        both = first.events + other.events
        self.strata += strata
        self.events += strata * both
        self.observed += strata * other.events * first.pushes / total
        self.expected += strata * first.events * other.pushes / total
        spread = first.pushes * other.pushes * both - first.events * other.events * total
        self.variance += strata * spread / total**2

    def find_rate(self) -> RelativeRate | None:
        """Return the ratio with its interval; None if one of both levels has no events."""
        if self.observed <= 0 or self.expected <= 0:
            return None
        ratio = self.observed / self.expected
        deviation = sqrt(max(self.variance, 0.0) / (self.observed * self.expected))
        factor = exp(_TWO_SIDES * deviation)
        return RelativeRate(ratio, ratio / factor, ratio * factor, self.strata, self.events)


def find_relative_rates(pairs: Iterable[StratumPair]) -> dict[int, RelativeRate]:
    """Return the relative rate of each level that has one."""
    sums: dict[int, _Sums] = {}
    for pair in pairs:
        if pair.first.pushes > 0 and pair.other.pushes > 0:
            sums.setdefault(pair.level, _Sums()).add(pair)
    rates = {level: sums[level].find_rate() for level in sorted(sums)}
    return {level: rate for level, rate in rates.items() if rate is not None}
