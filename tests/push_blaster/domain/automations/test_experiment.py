"""Experiments: the same choice for a user every time, and shares as they were asked for."""

import random
from collections import Counter
from functools import cache
from uuid import UUID

import pytest

from push_blaster.domain.automations.experiment import (
    Experiment,
    Variant,
    choose_variant,
    is_in_holdout,
    is_in_test,
)

COUNT = 100_000
#: Four standard deviations of a share of 100,000 are less than this.
CLOSE = 0.0064


@cache
def everybody() -> list[UUID]:
    dice = random.Random(20251125)  # noqa: S311 - repeatable, no secret
    return [UUID(int=dice.getrandbits(128)) for _ in range(COUNT)]


def share(users: list[UUID]) -> float:
    return len(users) / COUNT


def test_weights_are_shares_of_the_users() -> None:
    variants = (Variant(id="a"), Variant(id="b", weight=2), Variant(id="c", weight=0.5))

    chosen = Counter(
        variant.id
        for u in everybody()
        if (variant := choose_variant(variants, "daily", "push-1", u))
    )

    shares = {name: users / COUNT for name, users in chosen.items()}
    assert shares == pytest.approx({"a": 2 / 7, "b": 4 / 7, "c": 1 / 7}, abs=CLOSE)


@pytest.mark.slow
def test_a_user_gets_the_same_variant_every_time_and_another_pushs_is_independent() -> None:
    variants = (Variant(id="a"), Variant(id="b"))

    first = [choose_variant(variants, "daily", "push-1", u) for u in everybody()]
    other = [choose_variant(variants, "daily", "push-2", u) for u in everybody()]

    assert first == [choose_variant(variants, "daily", "push-1", u) for u in everybody()]
    alike = sum(one is two for one, two in zip(first, other, strict=True))
    assert alike / COUNT == pytest.approx(0.5, abs=CLOSE)


def test_without_variants_there_is_nothing_to_choose() -> None:
    assert choose_variant((), "daily", "push-1", everybody()[0]) is None


@pytest.mark.slow
@pytest.mark.parametrize("percent", [0.5, 10, 50])
def test_a_holdout_is_the_share_that_was_asked_for(percent: float) -> None:
    everywhere = [u for u in everybody() if is_in_holdout(percent, u)]
    here = [u for u in everybody() if is_in_holdout(percent, u, "daily")]

    assert share(everywhere) == pytest.approx(percent / 100, abs=CLOSE)
    assert share(here) == pytest.approx(percent / 100, abs=CLOSE)
    both = set(everywhere) & set(here)
    assert len(both) / COUNT == pytest.approx((percent / 100) ** 2, abs=CLOSE)


def test_nobody_and_everybody_are_exact() -> None:
    assert not any(is_in_holdout(0, u) for u in everybody())
    assert all(is_in_holdout(100, u) for u in everybody())


def test_raising_a_holdout_only_adds_users() -> None:
    five = {u for u in everybody() if is_in_holdout(5, u)}

    assert five < {u for u in everybody() if is_in_holdout(6, u)}


def test_who_is_held_out_is_independent_of_the_variant() -> None:
    variants = (Variant(id="a"), Variant(id="b"))
    held_out = [u for u in everybody() if is_in_holdout(20, u, "daily")]

    of_a = sum(choose_variant(variants, "daily", "", u) is variants[0] for u in held_out)

    assert of_a / len(held_out) == pytest.approx(0.5, abs=0.015)


@pytest.mark.slow
def test_each_draw_has_other_users_in_its_test_and_the_share_that_was_asked_for() -> None:
    experiment = Experiment(test_percent=20)

    def draw(name: str) -> set[UUID]:
        return {u for u in everybody() if is_in_test(experiment, "daily", "push-1", name, u)}

    first, second = draw("monday"), draw("tuesday")
    assert draw("monday") == first
    assert share(list(first)) == pytest.approx(0.2, abs=CLOSE)
    assert share(list(first & second)) == pytest.approx(0.04, abs=CLOSE)


def test_whoever_tests_gets_each_variant_as_often_as_all_others() -> None:
    variants = (Variant(id="a"), Variant(id="b"))
    experiment = Experiment(test_percent=50)
    testers = [u for u in everybody() if is_in_test(experiment, "daily", "push-1", "x", u)]

    chosen = [choose_variant(variants, "daily", "push-1", u) for u in testers]

    assert chosen.count(variants[0]) / len(testers) == pytest.approx(0.5, abs=2 * CLOSE)
