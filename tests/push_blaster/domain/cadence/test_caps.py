"""Caps replayed over the pushes of a user, beside the replay of the cadence service."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from cadence_service.domain.cadence import CadenceRule, Send, replay
from push_blaster.domain.cadence.caps import Cap, PastPush, find_capped

BEGIN = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
COOLDOWN = Cap(frozenset({3}), frozenset({3}), 72 * HOUR, 1)


def push(layer_id: int, after: timedelta) -> PastPush:
    return PastPush(layer_id, BEGIN + after)


@pytest.mark.parametrize(
    ("pushes", "capped"),
    [
        ([push(3, 0 * DAY), push(3, 3 * DAY)], [False, False]),
        ([push(3, 0 * DAY), push(3, 71.9 * HOUR), push(3, 73 * HOUR)], [False, True, False]),
        ([push(2, 0 * DAY), push(3, HOUR), push(2, 2 * HOUR)], [False, False, False]),
        ([], []),
    ],
    ids=["exactly a window", "a capped push uses up nothing", "other layers", "no pushes"],
)
def test_a_cooldown_caps_the_pushes_within_it(pushes: list[PastPush], capped: list[bool]) -> None:
    assert find_capped([COOLDOWN], pushes, BEGIN) == capped


def test_earlier_pushes_happened_whatever_the_caps_say() -> None:
    pushes = [push(3, 0 * DAY), push(3, DAY), push(3, 2 * DAY)]

    assert find_capped([COOLDOWN], pushes, BEGIN + 2 * DAY) == [False, False, True]


@pytest.mark.parametrize("seed", range(60))
def test_the_replay_is_the_one_of_the_cadence_service(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a made-up history
    layers = [1, 2, 3, 5]
    rules = [
        CadenceRule(
            name=f"rule-{n}",
            applies_to_layers=frozenset(random.sample(layers, random.randint(1, 4))),
            counted_layers=frozenset(random.sample(layers, random.randint(1, 4))),
            window=random.choice([1, 24, 72, 168]) * HOUR,
            max_count=random.randint(1, 4),
        )
        for n in range(random.randint(0, 3))
    ]
    exempt = frozenset(random.sample(layers, random.randint(0, 2)))
    caps = [
        Cap(r.applies_to_layers - exempt, r.counted_layers, r.window, r.max_count) for r in rules
    ]
    hours = sorted(random.choices(range(600), k=50))
    pushes = [push(random.choice(layers), hour * HOUR) for hour in hours]
    start = BEGIN + random.choice([0, 200]) * HOUR
    sends = [Send(*one) for one in pushes]
    before = [send for send in sends if send.sent_at < start]

    found = find_capped(caps, pushes, start)

    verdicts = replay(rules, exempt, before, sends[len(before) :])
    assert found == [False] * len(before) + [one is not None for one in verdicts]
