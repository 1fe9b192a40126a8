"""Fatigue found in simulated users of whom the truth is known."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from push_blaster.domain.engagement.fatigue import Exposure, StratumPair, find_relative_rates

Users = list[dict[int, Exposure]]
NONE = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
STRONG = (1.0, 0.8, 0.64, 0.51, 0.41, 0.33)


def pair(users: Users) -> Iterator[StratumPair]:
    """Yield the pushes of each user at level 1 and at each other level."""
    for levels in users:
        for level, exposure in levels.items():
            if level > 1 and 1 in levels:
                yield StratumPair(level, levels[1], exposure)


def simulate_users(truth: Sequence[float], users: int = 20_000, weeks: int = 8) -> Users:
    """Return users who get more pushes, and open more, the more active they are."""
    rng = np.random.default_rng(5)
    activity = rng.gamma(1.0, 1.0, users)
    opening = np.minimum(0.08 * activity, 0.9)
    simulated: Users = [{} for _ in range(users)]
    for level, relative in enumerate(truth, 1):
        planned = rng.poisson(1 + 2 * activity, (weeks, users))
        pushes = (planned >= level).sum(axis=0)
        opened = rng.binomial(pushes, opening * relative)
        for user in np.flatnonzero(pushes):
            simulated[user][level] = Exposure(int(pushes[user]), int(opened[user]))
    return simulated


def find_raw_rate(users: Users, level: int) -> float:
    exposures = [levels[level] for levels in users if level in levels]
    return sum(e.events for e in exposures) / sum(e.pushes for e in exposures)


@pytest.mark.parametrize("truth", [NONE, STRONG], ids=["no fatigue", "strong fatigue"])
def test_the_truth_is_found_within_users(truth: Sequence[float]) -> None:
    rates = find_relative_rates(pair(simulate_users(truth)))

    for level in range(2, 7):
        assert rates[level].ratio == pytest.approx(truth[level - 1], rel=0.05)
        assert rates[level].low * 0.98 < truth[level - 1] < rates[level].high * 1.02


def test_raw_rates_say_more_is_better_where_nothing_changes() -> None:
    users = simulate_users(NONE)

    assert find_raw_rate(users, 6) / find_raw_rate(users, 1) > 1.5


def test_the_interval_is_the_one_of_a_bootstrap_over_users() -> None:
    users = simulate_users(STRONG, users=4_000)
    rng = np.random.default_rng(6)
    both = [(levels[1], levels[3]) for levels in users if 1 in levels and 3 in levels]
    opened = np.array([o.events * f.pushes / (f.pushes + o.pushes) for f, o in both])
    expected = np.array([f.events * o.pushes / (f.pushes + o.pushes) for f, o in both])
    drawn = rng.integers(0, len(both), (2_000, len(both)))

    found = find_relative_rates(pair(users))[3]

    ratios = opened[drawn].sum(axis=1) / expected[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert found.strata == len(both)
    assert found.low == pytest.approx(low, rel=0.02)
    assert found.high == pytest.approx(high, rel=0.02)


def test_users_with_equal_counts_may_come_as_one() -> None:
    apart = [StratumPair(2, Exposure(5, 2), Exposure(3, 1))] * 7
    other = StratumPair(2, Exposure(4, 1), Exposure(9, 1), strata=1)

    together = find_relative_rates([apart[0]._replace(strata=7), other])[2]

    each = find_relative_rates([*apart, other])[2]
    assert together.ratio == pytest.approx(each.ratio)
    assert (together.low, together.high) == pytest.approx((each.low, each.high))
    assert (together.strata, together.events) == (each.strata, each.events) == (8, 23)


@pytest.mark.parametrize(
    "users",
    [
        [],
        [{}],
        [{1: Exposure(3, 1)}],
        [{2: Exposure(3, 1)}],
        [{1: Exposure(0, 0), 2: Exposure(1, 1)}],
        [{1: Exposure(1, 1), 2: Exposure(0, 0)}],
        [{1: Exposure(2, 1), 2: Exposure(2, 0)}],
        [{1: Exposure(2, 0), 2: Exposure(2, 1)}],
    ],
)
def test_users_who_cannot_be_compared_give_no_rate(users: Users) -> None:
    assert find_relative_rates(pair(users)) == {}


def simulate_opt_outs(hazards: Sequence[float]) -> Users:
    """Return users with one to six planned pushes until they opt out; the busy ones do so less.

    Shape: one stratum for each number of planned pushes.
    """
    rng = np.random.default_rng(7)
    strata = []
    for planned in range(1, 7):
        left, levels = 400_000 // planned, {}
        for level in range(1, planned + 1):
            gone = int(rng.binomial(left, hazards[level - 1] * 2 / planned))
            levels[level] = Exposure(left, gone)
            left -= gone
        strata.append(levels)
    return strata


@pytest.mark.parametrize(
    ("hazards", "rising"), [((0.01,) * 6, 1.0), ((0.01, 0.012, 0.014, 0.017, 0.02, 0.024), 2.4)]
)
def test_a_hazard_is_compared_among_users_with_as_many_planned_pushes(
    hazards: Sequence[float], rising: float
) -> None:
    strata = simulate_opt_outs(hazards)

    found = find_relative_rates(pair(strata))

    assert found[6].low < rising < found[6].high
    assert found[6].ratio == pytest.approx(rising, rel=0.1)
    raw = find_raw_rate(strata, 6) / find_raw_rate(strata, 1)
    assert raw < rising * 0.6
