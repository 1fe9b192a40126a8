"""How often the evidence of events goes wrong; `make statistics` tries ten thousand of each."""

from itertools import combinations
from math import log
from typing import Final

import numpy as np
import pytest

from push_blaster.domain.engagement.comparison import ComparisonVerdict, Stratum, compare
from push_blaster.domain.engagement.event_evidence import Draws, weigh
from tests.push_blaster.domain.engagement.simulations import (
    MANY_ALIKE,
    SENDS_ALIKE,
    SENDS_APART,
    ManySends,
    OneSend,
    count_calls_of_z,
    find_calls,
    look_at_one_send,
    mix_by_tables,
    mix_on_a_grid,
    send_many_times,
)

SURE: Final = (ComparisonVerdict.MORE, ComparisonVerdict.LESS)


@pytest.mark.parametrize("send", SENDS_ALIKE, ids=lambda send: send.name)
def test_hardly_any_send_without_a_difference_is_called(send: OneSend) -> None:
    outcome = look_at_one_send(send, runs=1_000, looks=50, seed=1)

    assert outcome.share_called <= 0.05


@pytest.mark.parametrize("send", SENDS_APART, ids=lambda send: send.name)
def test_the_true_ratio_stays_in_the_interval_at_each_look(send: OneSend) -> None:
    outcome = look_at_one_send(send, runs=1_000, looks=50, seed=2)

    assert outcome.share_missed <= 0.05


def test_a_difference_of_a_fifth_is_found() -> None:
    outcome = look_at_one_send(SENDS_APART[0], runs=1_000, looks=50, seed=3)

    assert outcome.share_called >= 0.85


@pytest.mark.slow
def test_hardly_any_of_three_equal_variants_is_called() -> None:
    rng = np.random.default_rng(8)
    runs, users, called = 300, 4_000, 0

    for _ in range(runs):
        at = [np.sort(rng.random(rng.binomial(users, 0.1))) for _ in range(3)]
        looks = [np.searchsorted(instants, np.linspace(0.1, 1, 10)) for instants in at]
        called += any(
            compare([Stratum(users, int(a), users, int(b))], pairs=3).verdict in SURE
            for one, other in combinations(looks, 2)
            for a, b in zip(one, other, strict=True)
        )

    assert called <= 0.05 * runs


def test_the_chances_of_z_at_every_look_are_the_reason() -> None:
    """An ordinary test at each look calls a third of experiments without a difference."""
    assert count_calls_of_z(SENDS_ALIKE[0], runs=1_000, looks=50, seed=5) > 250


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.3])
@pytest.mark.parametrize("send", SENDS_ALIKE, ids=lambda send: send.name)
def test_the_evidence_of_one_send_is_the_one_of_plain_products(send: OneSend, ratio: float) -> None:
    of_a, of_b = np.array([0, 3, 50, 900]), np.array([2, 0, 80, 1_200])
    oracle = mix_by_tables(send, of_a, of_b, ratio)

    offset = log(send.users_b / send.users_a)
    evidence = [
        weigh([Draws(offset, int(a), int(b))]).find_against(ratio)
        for a, b in zip(of_a, of_b, strict=True)
    ]

    assert np.allclose(evidence, oracle, atol=1e-8)


@pytest.mark.parametrize("plan", MANY_ALIKE, ids=lambda plan: plan.name)
def test_hardly_any_texts_that_are_sent_thirty_times_are_called(plan: ManySends) -> None:
    called = find_calls(plan, runs=200, looks=2, seed=6)

    assert called.mean() <= 0.05


@pytest.mark.parametrize("plan", MANY_ALIKE, ids=lambda plan: plan.name)
def test_the_evidence_of_many_sends_is_the_one_of_a_plain_grid(plan: ManySends) -> None:
    *_, executions = send_many_times(plan, runs=20, looks=1, seed=4)
    oracle = mix_on_a_grid(executions)

    evidence = [
        weigh(
            [
                Draws(log(users_b[run] / users_a[run]), int(seen_a[run]), int(seen_b[run]))
                for users_a, seen_a, users_b, seen_b in executions
            ]
        ).find_against(1.0)
        for run in range(20)
    ]

    assert np.allclose(evidence, oracle, atol=1e-3)


def test_what_the_bounds_exclude_is_what_the_evidence_refuses() -> None:
    evidence = weigh([Draws(0.3, 120, 180), Draws(-0.2, 40, 30)])

    low, high = evidence.find_interval(0.05)

    assert high is not None
    assert evidence.find_against(low) == pytest.approx(log(20))
    assert evidence.find_against(high) == pytest.approx(log(20))
