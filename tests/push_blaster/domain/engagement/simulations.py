"""Simulated experiments of which the truth is known, looked at again and again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from push_blaster.domain.engagement.comparison import ALPHA

Counts = NDArray[np.int64]
#: Users at risk and first events of A, and the same of B, by run.
Execution = tuple[Counts, Counts, Counts, Counts]
_GRID: Final = np.linspace(-1.2, 1.2, 81)
#: Five kinds of users, as many of each, and how often they open.
HABITS: Final = (0.01, 0.03, 0.08, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class OneSend:
    """A send to two groups; `ratio` is the rate of the second one by the rate of the first."""

    name: str
    users_a: int
    users_b: int
    rate: float
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of so many experiments: how many called a difference, and how many missed the true ratio."""

    runs: int
    called: int
    missed: int

    @property
    def share_called(self) -> float:
        return self.called / self.runs

    @property
    def share_missed(self) -> float:
        return self.missed / self.runs


def look_at_one_send(send: OneSend, runs: int, looks: int, seed: int) -> Outcome:
    """Return how often the evidence of one send goes wrong, or right, at any of the looks.

    Both groups open equally fast, so the order of their opens is a random one.
    """
    rng = np.random.default_rng(seed)
    opens_a = rng.binomial(send.users_a, send.rate, runs)
    opens_b = rng.binomial(send.users_b, send.rate * send.ratio, runs)
    called, missed = np.zeros(runs, dtype=bool), np.zeros(runs, dtype=bool)
    for seen_a, seen_b in _arrive(rng, opens_a, opens_b, looks):
        called |= mix_by_tables(send, seen_a, seen_b, 1.0) >= log(1 / ALPHA)
        missed |= mix_by_tables(send, seen_a, seen_b, send.ratio) >= log(1 / ALPHA)
    return Outcome(runs, int(called.sum()), int(missed.sum()))


def count_calls_of_z(send: OneSend, runs: int, looks: int, seed: int) -> int:
    """Return how many runs an ordinary test of both rates calls at any of the looks."""
    rng = np.random.default_rng(seed)
    opens = rng.binomial(send.users_a, send.rate, runs), rng.binomial(send.users_b, send.rate, runs)
    called = np.zeros(runs, dtype=bool)
    for seen_a, seen_b in _arrive(rng, *opens, looks):
        rate = (seen_a + seen_b) / (send.users_a + send.users_b)
        spread = np.sqrt(rate * (1 - rate) * (1 / send.users_a + 1 / send.users_b))
        called |= np.abs(seen_b / send.users_b - seen_a / send.users_a) > 1.96 * spread
    return int(called.sum())


def mix_by_tables(
    send: OneSend, seen_a: Counts, seen_b: Counts, ratio: float
) -> NDArray[np.float64]:
    """Return the evidence against a ratio, of many runs at once."""
    share = send.users_b / (send.users_a + send.users_b)
    at = ratio * share / (1 - share + ratio * share)
    a, b = 100 * share, 100 * (1 - share)
    mixed = _count_up(a, seen_b) + _count_up(b, seen_a) - _count_up(a + b, seen_a + seen_b)
    return np.asarray(mixed - seen_b * log(at) - seen_a * log(1 - at))


def _count_up(start: float, counts: Counts) -> NDArray[np.float64]:
    """Return ln(start · (start + 1) · …) with as many factors as each count says."""
    factors = np.log(start + np.arange(counts.max(initial=0)))
    return np.asarray(np.concatenate(([0.0], np.cumsum(factors)))[counts])


def _arrive(
    rng: np.random.Generator, opens_a: Counts, opens_b: Counts, looks: int
) -> Iterator[tuple[Counts, Counts]]:
    """Yield the opens of both groups seen so far, at each look."""
    left_a, left_b, total = opens_a.copy(), opens_b.copy(), opens_a + opens_b
    for look in range(1, looks + 1):
        more = total * look // looks - (total - left_a - left_b)
        of_b = rng.hypergeometric(left_b, left_a, more)
        left_a, left_b = left_a - more + of_b, left_b - of_b
        yield opens_a - left_a, opens_b - left_b


@dataclass(frozen=True, slots=True)
class ManySends:
    """The same texts in many executions, to the same users, whose variants stay the same."""

    name: str
    users: int
    share_b: float
    ratio: float = 1.0
    sends: int = 30


def send_many_times(plan: ManySends, runs: int, looks: int, seed: int) -> Iterator[list[Execution]]:
    """Yield, at each look, users at risk and first opens of both groups, by execution and run."""
    rng = np.random.default_rng(seed)
    habits = np.array(HABITS)
    left_a = np.full((runs, len(habits)), round(plan.users * (1 - plan.share_b) / len(habits)))
    left_b = np.full((runs, len(habits)), round(plan.users * plan.share_b / len(habits)))
    ended: list[Execution] = []
    for _ in range(plan.sends):
        opens_a = rng.binomial(left_a, habits)
        opens_b = rng.binomial(left_b, np.minimum(habits * plan.ratio, 1.0))
        users = left_a.sum(axis=1), left_b.sum(axis=1)
        now = ended
        for seen_a, seen_b in _arrive(rng, opens_a.sum(axis=1), opens_b.sum(axis=1), looks):
            now = [*ended, (users[0], seen_a, users[1], seen_b)]
            yield now
        ended, left_a, left_b = now, left_a - opens_a, left_b - opens_b


def find_calls(plan: ManySends, runs: int, looks: int, seed: int) -> NDArray[np.bool_]:
    """Return which of the runs call a difference at any look, by the mixture on a fixed grid."""
    called = np.zeros(runs, dtype=bool)
    ended, sends = np.zeros((runs, len(_GRID))), 1
    latest = ended
    for executions in send_many_times(plan, runs, looks, seed):
        if len(executions) > sends:
            ended, sends = latest, len(executions)
        latest = ended + _likelihood_on_the_grid(*executions[-1])
        called |= _average(latest) >= log(1 / ALPHA)
    return called


def mix_on_a_grid(executions: Sequence[Execution]) -> NDArray[np.float64]:
    """Return the evidence against no difference, summed plainly over 81 ratios."""
    return _average(sum((_likelihood_on_the_grid(*e) for e in executions), np.zeros(len(_GRID))))


def _likelihood_on_the_grid(
    users_a: Counts, seen_a: Counts, users_b: Counts, seen_b: Counts
) -> NDArray[np.float64]:
    """Return how much likelier than 1 each ratio of the grid is, as logarithms, by run."""
    share = (users_b / (users_a + users_b))[:, None]
    scale = np.log1p(share * np.expm1(_GRID))
    return np.asarray(seen_b[:, None] * (_GRID - scale) - seen_a[:, None] * scale)


def _average(likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(-(_GRID**2) / (2 * 0.2**2))
    top = likelihood.max(axis=1, keepdims=True)
    mixed = (np.exp(likelihood - top) * weights).sum(axis=1) / weights.sum()
    return np.asarray(np.log(mixed) + top[:, 0])


#: Rates that are equal, and rates that differ; the splits of variants and of holdouts.
SENDS_ALIKE: Final = (
    OneSend("10,000 / 10,000, 10 %", 10_000, 10_000, 0.10),
    OneSend("2,000 / 2,000, 2 %", 2_000, 2_000, 0.02),
    OneSend("10,000 / 10,000, 50 %", 10_000, 10_000, 0.50),
    OneSend("2,000 / 18,000, 10 %", 2_000, 18_000, 0.10),
    OneSend("1,000 / 19,000, 10 % (a holdout)", 1_000, 19_000, 0.10),
)
SENDS_APART: Final = (
    OneSend("10,000 / 10,000, 10 against 12 %", 10_000, 10_000, 0.10, 1.2),
    OneSend("10,000 / 10,000, 10 against 11 %", 10_000, 10_000, 0.10, 1.1),
    OneSend("2,000 / 18,000, 10 against 12 %", 2_000, 18_000, 0.10, 1.2),
    OneSend("1,000 / 19,000, 10 against 13 % (a holdout)", 1_000, 19_000, 0.10, 1.3),
)
MANY_ALIKE: Final = (
    ManySends("30 sends, 50/50", 10_000, 0.5),
    ManySends("30 sends, 10/90", 10_000, 0.9),
    ManySends("30 sends, 5/95 (a holdout)", 10_000, 0.95),
)
MANY_APART: Final = (
    ManySends("30 sends, 50/50, a true ratio of 1.2", 10_000, 0.5, 1.2),
    ManySends("30 sends, 10/90, a true ratio of 1.2", 10_000, 0.9, 1.2),
)
