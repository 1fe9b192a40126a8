"""The interval of final counts, beside the one of statsmodels."""

import pytest

from push_blaster.domain.engagement.final_ratio import Shares, find_final_interval

COUNTS = [
    Shares(1_000, 700, 1_000, 790),
    Shares(5_000, 2_000, 500, 210),
    Shares(40, 13, 30, 20),
    Shares(100_000, 39_000, 100_000, 40_000),
]


@pytest.mark.parametrize("shares", COUNTS)
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_the_interval_is_the_one_of_a_score_test(shares: Shares, alpha: float) -> None:
    # Each worker imports this file, and one of them needs what takes a second to import.
    from statsmodels.stats.proportion import confint_proportions_2indep

    oracle = confint_proportions_2indep(
        shares.events_b,
        shares.users_b,
        shares.events_a,
        shares.users_a,
        compare="ratio",
        method="score",
        correction=False,
        alpha=alpha,
    )

    low, high = find_final_interval(shares, alpha)

    assert (low, high) == pytest.approx(oracle, rel=1e-3)


@pytest.mark.parametrize("users", [1, 5, 1_000])
def test_groups_in_which_everybody_opened_are_not_surely_equal(users: int) -> None:
    low, high = find_final_interval(Shares(users, users, users, users), 0.05)

    assert high is not None
    assert low < 1 < high
    assert high == pytest.approx(1 / low)


def test_groups_without_events_have_bounds_on_one_side() -> None:
    assert find_final_interval(Shares(10, 5, 10, 0), 0.05)[0] == 0.0
    assert find_final_interval(Shares(10, 0, 10, 5), 0.05)[1] is None
    assert find_final_interval(Shares(10, 0, 10, 0), 0.05) == (0.0, None)
