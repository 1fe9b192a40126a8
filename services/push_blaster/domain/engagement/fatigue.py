"""How the opening of pushes changes with how many pushes a user had in the 7 days before.

Users who get more pushes open more, so a user is compared with the same user: the ratio of
Mantel and Haenszel, with the user as stratum, and the interval of Greenland and Robins (1985).
An opt-out ends what can be seen of a user, so opting out is told as a hazard a push instead,
among users for whom equally many pushes were planned.
Source: docs/statistics.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Final

#: Level 1 is a user's first push in 7 days; the last level has all pushes after it, too.
LEVELS: Final = 6
_TWO_SIDES = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Exposure:
    """The pushes of one user at one level, and how many of them the user opened."""

    pushes: int
    opened: int


@dataclass(frozen=True, slots=True)
class RelativeRate:
    """How often users open at a level, by how often the same users open at level 1."""

    ratio: float
    low: float
    high: float
    users: int


@dataclass(slots=True)
class Pairs:
    """Sums over users who have pushes at level 1 and at one other level."""

    users: int = 0
    opened: float = 0.0
    expected: float = 0.0
    variance: float = 0.0

    def add(self, first: Exposure, other: Exposure) -> None:
        """Add one user's pushes at level 1 and at the other level."""
        total = first.pushes + other.pushes
        both = first.opened + other.opened
        self.users += 1
        self.opened += other.opened * first.pushes / total
        self.expected += first.opened * other.pushes / total
        spread = first.pushes * other.pushes * both - first.opened * other.opened * total
        self.variance += spread / total**2

    def find_rate(self) -> RelativeRate | None:
        """Return the ratio with its interval; None if one of both levels has no opens."""
        if self.opened <= 0 or self.expected <= 0:
            return None
        ratio = self.opened / self.expected
        deviation = sqrt(max(self.variance, 0.0) / (self.opened * self.expected))
        factor = exp(_TWO_SIDES * deviation)
        return RelativeRate(ratio, ratio / factor, ratio * factor, self.users)


def find_relative_rates(users: Iterable[Mapping[int, Exposure]]) -> dict[int, RelativeRate]:
    """Return the relative rate of each level from 2 on that has one.

    Shape: one mapping a user, from level to the user's pushes at that level.
    """
    pairs: dict[int, Pairs] = {}
    for levels in users:
        first = levels.get(1)
        if first is None or first.pushes <= 0:
            continue
        for level, exposure in levels.items():
            if level > 1 and exposure.pushes > 0:
                pairs.setdefault(level, Pairs()).add(first, exposure)
    rates = {level: pairs[level].find_rate() for level in sorted(pairs)}
    return {level: rate for level, rate in rates.items() if rate is not None}


@dataclass(frozen=True, slots=True)
class Risk:
    """The pushes at one level to users with equally many planned pushes, and their opt-outs."""

    planned: int
    level: int
    pushes: int
    opted_out: int


@dataclass(frozen=True, slots=True)
class Hazard:
    """The opt-outs a push at a level, as if each level had the same mixture of users."""

    rate: float
    low: float
    high: float
    pushes: int
    opted_out: int


def find_hazards(risks: Sequence[Risk]) -> dict[int, Hazard]:
    """Return the hazard of opting out by level, standardised over the numbers of planned pushes.

    The weights of the strata are their pushes at all levels. A stratum without pushes at a level
    is left out of that level.
    """
    weights: dict[int, int] = {}
    levels: dict[int, list[Risk]] = {}
    for risk in risks:
        if risk.pushes > 0:
            weights[risk.planned] = weights.get(risk.planned, 0) + risk.pushes
            levels.setdefault(risk.level, []).append(risk)
    return {level: _standardise(levels[level], weights) for level in sorted(levels)}


def _standardise(risks: Sequence[Risk], weights: Mapping[int, int]) -> Hazard:
    """Return the weighted mean of the strata's hazards, with an interval of its logarithm.

    Without any opt-out the upper bound is 3 in the number of pushes.
    """
    total = sum(weights[risk.planned] for risk in risks)
    pushes, opted_out = sum(r.pushes for r in risks), sum(r.opted_out for r in risks)
    if opted_out == 0:
        return Hazard(0.0, 0.0, min(1.0, -log(0.05) / pushes), pushes, 0)
    rate = variance = 0.0
    for risk in risks:
        weight = weights[risk.planned] / total
        rate += weight * risk.opted_out / risk.pushes
        variance += weight**2 * risk.opted_out / risk.pushes**2
    factor = exp(_TWO_SIDES * sqrt(variance) / rate)
    return Hazard(rate, rate / factor, min(1.0, rate * factor), pushes, opted_out)
