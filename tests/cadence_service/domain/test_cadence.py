"""What a rule says, by plain values."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadence_service.domain.cadence import (
    CadenceRule,
    Send,
    find_breach,
    find_next_eligible,
    find_rules,
    find_stretches,
    replay,
)

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
COOLDOWN = CadenceRule(
    name="cooldown",
    applies_to_layers=frozenset({3}),
    counted_layers=frozenset({3}),
    window=timedelta(hours=72),
    max_count=1,
)
WEEKLY = CadenceRule(
    name="weekly",
    applies_to_layers=frozenset({2, 3}),
    counted_layers=frozenset({2, 3}),
    window=timedelta(hours=168),
    max_count=3,
)


def sent(layer_id: int, hours_ago: float) -> Send:
    return Send(layer_id, NOW - timedelta(hours=hours_ago))


@pytest.mark.parametrize(
    ("hours_ago", "is_held"),
    [(0, True), (71.999, True), (72, False), (-71.999, True), (-72, False)],
    ids=[
        "just sent",
        "just inside the window",
        "exactly the window ends it",
        "a later send counts too",
        "a later send a window away does not",
    ],
)
def test_a_cooldown_ends_when_its_window_does(hours_ago: float, is_held: bool) -> None:
    breach = find_breach([COOLDOWN], [sent(3, hours_ago)], NOW)

    assert (breach is not None) is is_held


def test_a_limit_counts_only_its_layers() -> None:
    others = [sent(1, 1), sent(4, 1), sent(5, 1), sent(2, 1), sent(3, 100)]

    assert find_breach([WEEKLY], others, NOW) is None
    assert find_breach([WEEKLY], [*others, sent(2, 2)], NOW) is not None


def test_a_breach_names_the_first_rule_and_the_sends_that_count() -> None:
    sends = [sent(3, 1), sent(2, 5), sent(2, 6)]

    breach = find_breach([COOLDOWN, WEEKLY], sends, NOW)

    assert breach is not None
    assert breach.rule is COOLDOWN
    assert breach.counted == (NOW - timedelta(hours=1),)


def test_rules_that_are_inactive_or_of_other_layers_are_not_asked() -> None:
    inactive = CadenceRule(
        name="off",
        applies_to_layers=frozenset({3}),
        counted_layers=frozenset({3}),
        window=timedelta(hours=1),
        max_count=1,
        is_active=False,
    )

    assert find_rules([inactive, COOLDOWN, WEEKLY], 2) == [WEEKLY]


def test_a_daily_automation_under_a_72_hour_cooldown_sends_on_day_3() -> None:
    first = NOW

    held = [
        find_breach([COOLDOWN], [Send(3, first)], first + timedelta(days=day)) is not None
        for day in range(1, 5)
    ]

    assert held == [True, True, False, False]


def test_the_next_eligible_instant_is_when_the_last_blocking_window_ends() -> None:
    sends = [sent(3, 10), sent(2, 20), sent(2, 30)]

    assert find_next_eligible([COOLDOWN, WEEKLY], sends, NOW) == NOW + timedelta(hours=138)
    assert find_next_eligible([COOLDOWN], [], NOW) == NOW


HOURS = st.integers(-400, 400).map(lambda quarter: timedelta(minutes=15 * quarter))


@given(st.lists(HOURS, max_size=30), st.integers(1, 4), st.integers(1, 60))
def test_no_trailing_window_ever_holds_more_than_the_cap(
    wishes: list[timedelta], max_count: int, quarters: int
) -> None:
    """Whatever the order of asking: later, earlier, at the same instant."""
    window = timedelta(minutes=15 * quarters)
    rule = CadenceRule(
        name="any",
        applies_to_layers=frozenset({2}),
        counted_layers=frozenset({2}),
        window=window,
        max_count=max_count,
    )
    sends: list[Send] = []
    for wish in wishes:
        if find_breach([rule], sends, NOW + wish) is None:
            sends.append(Send(2, NOW + wish))

    for end in sends:
        inside = [s for s in sends if end.sent_at - window < s.sent_at <= end.sent_at]
        assert len(inside) <= max_count


@given(st.lists(HOURS, max_size=12), HOURS)
def test_nobody_is_refused_while_every_window_has_room(
    history: list[timedelta], wish: timedelta
) -> None:
    sends = [Send(3, NOW + at) for at in history]
    at = NOW + wish

    breach = find_breach([WEEKLY], sends, at)

    with_it = [*(send.sent_at for send in sends), at]
    windows = [
        [t for t in with_it if end - WEEKLY.window < t <= end]
        for end in with_it
        if end - WEEKLY.window < at <= end
    ]
    assert (breach is not None) == any(len(inside) > WEEKLY.max_count for inside in windows)


def test_thousands_of_sends_to_one_user_are_judged_in_a_moment() -> None:
    rules = [
        CadenceRule(
            name=f"cap{layer}",
            applies_to_layers=frozenset({2, 3}),
            counted_layers=frozenset({layer}),
            window=timedelta(hours=72),
            max_count=2,
        )
        for layer in (2, 3)
    ]
    start = datetime(2026, 11, 1, tzinfo=UTC)
    sends = [Send(2 + number % 2, start + timedelta(minutes=number)) for number in range(20_000)]
    begun = time.monotonic()

    breach = find_breach(rules, sends, start)
    free_at = find_next_eligible(rules, sends, start)
    stretches = find_stretches(rules, sends, start, start + timedelta(days=60))
    verdicts = replay(rules, [], sends[:10_000], sends[10_000:])

    assert time.monotonic() - begun < 3
    assert breach is not None
    assert free_at == sends[-3].sent_at + timedelta(hours=72)
    assert [stretch.rule for stretch in stretches] == ["cap2", "cap3", None]
    assert 0 < verdicts.count(None) < 20
