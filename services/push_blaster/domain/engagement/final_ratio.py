"""The ordinary interval of a ratio of two shares, for counts that no longer grow.

Source: Koopman (1984): every ratio that a score test does not refuse. The interval also holds for
few users and for shares of 0 and 1.
"""

from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

_HALVINGS = 60


class Shares(NamedTuple):
    """Users and events of two groups; a user has at most one event."""

    users_a: int
    events_a: int
    users_b: int
    events_b: int

    @property
    def ratio(self) -> float | None:
        """Return the ratio of B's share to A's share; None if A has no events."""
        if self.events_a == 0:
            return None
        return self.events_b / self.users_b / (self.events_a / self.users_a)


def find_final_interval(shares: Shares, alpha: float) -> tuple[float, float | None]:
    """Return the lowest and the highest ratio of B's share to A's share that fit the counts.

    Shape: both groups have users; without events of B the lowest is 0, without events of A there
    is no highest.
    """
    limit = NormalDist().inv_cdf(1 - alpha / 2)
    turned = Shares(shares.users_b, shares.events_b, shares.users_a, shares.events_a)
    low = _halve(shares, limit) if shares.events_b else 0.0
    return low, 1 / _halve(turned, limit) if shares.events_a else None


def _halve(shares: Shares, limit: float) -> float:
    """Return the lowest ratio that the score test does not refuse; B has events."""
    inside = 1e6 if shares.ratio is None else shares.ratio
    outside = 0.0
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if _score(shares, middle) > limit:
            outside = middle
        else:
            inside = middle
    return inside


def _score(shares: Shares, ratio: float) -> float:
    """Return by how many standard deviations B is above `ratio` times A."""
    users_a, events_a, users_b, events_b = shares
    likely_b = _likely_share(shares, ratio)
    likely_a = likely_b / ratio
    variance = likely_b * (1 - likely_b) / users_b + ratio**2 * likely_a * (1 - likely_a) / users_a
    above = events_b / users_b - ratio * events_a / users_a
    return above / sqrt(max(variance, 1e-300))


def _likely_share(shares: Shares, ratio: float) -> float:
    """Return the likeliest share of B if B's share is `ratio` times A's share."""
    users_a, events_a, users_b, events_b = shares
    half = events_b + ratio * events_a + ratio * users_b + users_a
    product = 4 * ratio * (users_a + users_b) * (events_a + events_b)
    root = sqrt(max(half * half - product, 0.0))
    return min(1.0, ratio * 2 * (events_a + events_b) / (half + root))
