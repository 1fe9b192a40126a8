"""The fatigue curve and what caps cost, over a ledger of weeks, beside the same in plain Python."""

from collections import Counter, defaultdict
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from chassis.postgres import Database
from push_blaster.domain.cadence.caps import Cap
from push_blaster.domain.engagement.comparison import ComparisonVerdict
from push_blaster.use_cases.cadence.compare_capped import compare_capped
from push_blaster.use_cases.engagement.read_fatigue import read_fatigue
from tests.people import ALICE
from tests.push_blaster.fatigue_support import (
    DAY,
    NOW,
    Got,
    Planned,
    age_sample,
    send_pushes,
)

HOUR = timedelta(hours=1)
WEEKLY = Cap(frozenset({2, 3}), frozenset({2, 3}), 7 * DAY, 2)
USERS = [UUID(int=n) for n in range(1, 161)]


def make_weeks(seed: int = 3) -> list[Planned]:
    """Return daily pushes, which come to each user for 5 days in 14.

    Busy users get more of them and open more; everybody opens the third one in 7 days less.
    """
    random = Random(seed)  # noqa: S311 - a made-up history
    got: dict[UUID, list[int]] = defaultdict(list)
    pushes = []
    for day in range(34, 1, -1):
        users = []
        for n, user in enumerate(USERS):
            if (day + n) % 14 > 4 or random.random() > (n + 80) / 240:
                continue
            recent = sum(ago - day < 7 for ago in got[user])
            rate = (n + 40) / 200 * (0.4 if recent >= 2 else 1.0)
            is_opened, is_gone = random.random() < rate, random.random() < 0.15 * (recent + 1)
            got[user].append(day)
            users.append(
                Got(user, opened=HOUR if is_opened else None, opted_out=HOUR if is_gone else None)
            )
        pushes.append(Planned(NOW - day * DAY, users, layer_id=2 + day % 2))
    return pushes


def compare_plainly(
    pushes: list[Planned], layer_id: int | None, level: int, event: str = "opened"
) -> float:
    """Return the ratio of Mantel and Haenszel, written down as in the book."""
    instants: dict[UUID, list[Planned]] = defaultdict(list)
    period = [one for one in pushes if one.at >= NOW - 29 * DAY]
    planned = Counter(got.user_id for one in period for got in one.users)
    counts: dict[tuple[object, int], list[int]] = defaultdict(lambda: [0, 0])
    for one in pushes:
        for got in one.users:
            recent = sum(one.at - 7 * DAY < old.at < one.at for old in instants[got.user_id])
            instants[got.user_id].append(one)
            if one in period and layer_id in (None, one.layer_id):
                stratum: object = got.user_id if event == "opened" else planned[got.user_id]
                of_level = counts[stratum, min(recent + 1, 6)]
                of_level[0] += 1
                of_level[1] += getattr(got, event) is not None
    above = below = 0.0
    for one_stratum in {stratum for stratum, _ in counts}:
        (n1, o1), (nj, oj) = counts[one_stratum, 1], counts[one_stratum, level]
        if n1 and nj:
            above += oj * n1 / (n1 + nj)
            below += o1 * nj / (n1 + nj)
    return above / below


@pytest.mark.parametrize("layer_id", [None, 3])
def test_the_curve_is_the_one_of_plain_python(database: Database, layer_id: int | None) -> None:
    pushes = make_weeks()
    age_sample(database)
    send_pushes(database, pushes)

    curve = read_fatigue(database, layer_id, NOW)

    assert (curve.since, curve.until) == (NOW - 29 * DAY, NOW - DAY)
    assert (curve.users, curve.share_of_users) == (160, 1.0)
    told = {one.level: one.opening.ratio for one in curve.levels if one.opening}
    found = {level: ratio for level, ratio in told.items() if ratio is not None}
    assert {2, 3} <= found.keys()
    assert found == pytest.approx({n: compare_plainly(pushes, layer_id, n) for n in found})
    opting_out = curve.levels[1].opting_out
    assert opting_out is not None
    assert opting_out.ratio == pytest.approx(compare_plainly(pushes, layer_id, 2, "opted_out"))
    in_period = [one for one in pushes if one.at >= NOW - 29 * DAY]
    chosen = [one for one in in_period if layer_id in (None, one.layer_id)]
    assert sum(one.pushes for one in curve.levels) == sum(len(one.users) for one in chosen)
    opt_outs = sum(got.opted_out is not None for one in chosen for got in one.users)
    assert sum(one.opted_out for one in curve.levels) == opt_outs > 20


def test_fatigue_is_found_and_said(database: Database) -> None:
    age_sample(database)
    send_pushes(database, make_weeks())

    curve = read_fatigue(database, None, NOW)

    third = curve.levels[2].opening
    assert third is not None
    assert third.verdict is ComparisonVerdict.LESS
    assert curve.levels[1].opening != third
    assert "% less often than the first push in 7 days" in curve.sentence


def test_a_cap_is_compared_with_the_pushes_that_it_lets_through(database: Database) -> None:
    age_sample(database)
    send_pushes(database, make_weeks())

    found = compare_capped(database, [WEEKLY], NOW)

    assert found.verdict is ComparisonVerdict.LESS
    assert found.ratio is not None
    assert 0.3 < found.ratio < 0.5
    assert "These pushes are opened" in found.sentence


def test_caps_that_cap_nothing_have_nothing_to_compare(database: Database) -> None:
    age_sample(database)
    send_pushes(database, make_weeks())

    for caps in ([], [Cap(frozenset({1}), frozenset({1, 2, 3}), 7 * DAY, 1)]):
        assert compare_capped(database, caps, NOW).ratio is None


def test_the_pushes_before_the_sample_began_are_not_guessed(database: Database) -> None:
    send_pushes(database, [Planned(NOW - ago * DAY, [Got(ALICE)]) for ago in (9, 8, 3)])

    curve = read_fatigue(database, None, NOW)

    assert curve.since == NOW - 2 * DAY
    assert curve.until == NOW - DAY
    assert [one.pushes for one in curve.levels] == [0] * 6


@pytest.mark.parametrize("ago", [[], [3], [7.9, 3]])
def test_a_young_sample_has_no_figures_yet(database: Database, ago: list[float]) -> None:
    send_pushes(database, [Planned(NOW - days * DAY, [Got(ALICE)]) for days in ago])

    curve = read_fatigue(database, None, NOW)

    assert curve.since is None
    assert curve.sentence.endswith("the first figures come 8 days after the first live push")
    assert compare_capped(database, [WEEKLY], NOW).ratio is None
