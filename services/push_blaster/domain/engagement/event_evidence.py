"""What the events of two groups say about the ratio of their rates, at any look.

Source: docs/statistics.md. Every event is one draw: it comes from group B with a probability that
only the numbers of users at risk and the ratio of the rates decide. So the evidence against a
ratio stays valid however often somebody looks.
Units: ratios are logarithms here; a ratio of 1 is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, lgamma, log, log1p, pi, sqrt
from typing import Final, NamedTuple

#: How many imagined events the mixture for one execution is worth.
PRIOR_EVENTS: Final = 100.0
#: How far the ratio of several executions is expected from 1, as a standard deviation.
PRIOR_SIGMA: Final = 0.2
_FARTHEST: Final = 60.0
_NEWTON_STEPS: Final = 100
_GRID_STEP, _GRID_POINTS = 0.4, 20


class Draws(NamedTuple):
    """The events of one execution: `offset` is ln(n_B / n_A) of the users at risk."""

    offset: float
    of_a: int
    of_b: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Events of two groups by execution, and how likely they are on average over all ratios.

    Shape: at least one execution.
    """

    draws: Sequence[Draws]
    log_mixture: float

    def find_against(self, ratio: float) -> float:
        """Return the logarithm of the evidence that the ratio is not this one."""
        return self.log_mixture - _log_likelihood(self.draws, log(ratio))

    def find_gain(self) -> float:
        """Return by how much the likeliest ratio is likelier than 1, as a logarithm."""
        best = _log_likelihood(self.draws, self._find_likeliest())
        return best - _log_likelihood(self.draws, 0.0)

    def find_ratio(self) -> float | None:
        """Return the likeliest ratio; None if only the second group has events, or none has."""
        if not any(draws.of_a for draws in self.draws):
            return None
        likeliest = self._find_likeliest()
        return 0.0 if likeliest == -_FARTHEST else exp(likeliest)

    def find_interval(self, alpha: float) -> tuple[float, float | None]:
        """Return the lowest and highest ratio that the evidence does not exclude.

        Shape: without events of B the lowest is 0, without events of A there is no highest.
        """
        floor = self.log_mixture - log(1 / alpha)
        peak = self._find_likeliest()
        has_a, has_b = (any(of) for of in zip(*(draws[1:] for draws in self.draws), strict=True))
        low = exp(self._cross(peak, -1.0, floor)) if has_b else 0.0
        return low, exp(min(self._cross(peak, 1.0, floor), 700.0)) if has_a else None

    def _find_likeliest(self) -> float:
        """Return the likeliest ratio; the farthest one if only one group has events."""
        return _find_peak(self.draws, 0.0)

    def _cross(self, peak: float, side: float, floor: float) -> float:
        """Return where the likelihood falls below `floor`, on one side of its peak.

        The likelihood is concave: Newton's steps from outside never leave the outside.
        """
        start = 0.0 if abs(peak) == _FARTHEST else peak
        width = 1 / sqrt(max(_slopes(self.draws, start)[1], 1.0))
        at = start
        while _log_likelihood(self.draws, at) > floor and abs(at) < 10 * _FARTHEST:
            width *= 2
            at = start + side * width
        for _ in range(_NEWTON_STEPS):
            excess = _log_likelihood(self.draws, at) - floor
            step = excess / (_slopes(self.draws, at)[0] or inf)
            at -= step
            if abs(step) < 1e-9:
                break
        return at


def weigh(draws: Sequence[Draws]) -> Evidence:
    """Return the evidence of the events of one execution or more."""
    mixture = _mix_one(draws[0]) if len(draws) == 1 else _mix_many(draws)
    return Evidence(draws, mixture)


def _mix_one(draws: Draws) -> float:
    """Return the average likelihood of one execution over a Beta distribution around no ratio."""
    share = _share(draws.offset)
    a, b = PRIOR_EVENTS * share, PRIOR_EVENTS * (1 - share)
    return _log_beta(a + draws.of_b, b + draws.of_a) - _log_beta(a, b)


def _mix_many(draws: Sequence[Draws]) -> float:
    """Return the average likelihood over ratios that are log-normal around 1.

    The grid lies around the peak and is as wide as the peak is, so that it fits any number of
    events.
    """
    precision = PRIOR_SIGMA**-2
    peak = _find_peak(draws, precision)
    scale = 1 / sqrt(_slopes(draws, peak)[1] + precision)
    grid = (peak + scale * _GRID_STEP * n for n in range(-_GRID_POINTS, _GRID_POINTS + 1))
    logs = [_log_likelihood(draws, u) - precision * u * u / 2 for u in grid]
    top = max(logs)
    total = sum(exp(value - top) for value in logs)
    return top + log(total * _GRID_STEP * scale * sqrt(precision / (2 * pi)))


def _find_peak(draws: Sequence[Draws], precision: float) -> float:
    """Return the ratio where the likelihood, with a normal prior of `precision`, is highest."""
    at = 0.0
    for _ in range(_NEWTON_STEPS):
        slope, curve = _slopes(draws, at)
        step = (slope - precision * at) / max(curve + precision, 1e-300)
        at = max(-_FARTHEST, min(_FARTHEST, at + max(-1.0, min(1.0, step))))
        if abs(step) < 1e-9:
            break
    return at


def _slopes(draws: Sequence[Draws], log_ratio: float) -> tuple[float, float]:
    """Return the first derivative of the likelihood, and the second one with its sign turned."""
    slope = curve = 0.0
    for offset, of_a, of_b in draws:
        share = _share(offset + log_ratio)
        slope += of_b * (1 - share) - of_a * share
        curve += (of_a + of_b) * share * (1 - share)
    return slope, curve


def _log_likelihood(draws: Sequence[Draws], log_ratio: float) -> float:
    """Return the logarithm of how likely the events are at this ratio."""
    total = 0.0
    for offset, of_a, of_b in draws:
        logit = offset + log_ratio
        unlikely = of_b if logit < 0 else of_a
        total -= (of_a + of_b) * log1p(exp(-abs(logit))) + unlikely * abs(logit)
    return total


def _share(logit: float) -> float:
    """Return the probability with these logarithmic odds."""
    odds = exp(-abs(logit))
    return (odds if logit < 0 else 1.0) / (1 + odds)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
