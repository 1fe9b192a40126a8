"""Limits of callers: exact under threads, kind to clocks, bounded in memory."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from chassis.http.rate_limits import Limit, RateLimiter, network_of

NOON = 43_200.0
MINUTE = 60.0
TEN = Limit(requests=10, window=timedelta(minutes=1))


def test_a_caller_gets_the_limit_at_once_and_then_learns_when_to_come_again() -> None:
    limiter = RateLimiter(TEN)

    usages = [limiter.take("alice", NOON) for _ in range(11)]

    assert [usage.remaining for usage in usages] == [*range(9, -1, -1), 0]
    assert [usage.is_over for usage in usages] == [False] * 10 + [True]
    assert usages[10].wait == timedelta(seconds=6)
    assert not limiter.take("alice", NOON + 6).is_over
    assert not limiter.take("bob", NOON).is_over


def test_a_limit_is_exact_for_threads_that_race() -> None:
    limiter = RateLimiter(TEN)

    with ThreadPoolExecutor(16) as pool:
        counted = Counter(pool.map(lambda _: limiter.take("alice", NOON).is_over, range(2_000)))

    assert counted == {False: 10, True: 1_990}


def test_who_is_refused_is_not_pushed_further_away() -> None:
    limiter = RateLimiter(TEN)
    for _ in range(500):
        limiter.take("alice", NOON)

    assert not limiter.take("alice", NOON + MINUTE / 10).is_over
    assert limiter.take("alice", NOON + MINUTE * 2).remaining == 9


def test_the_memory_for_callers_is_bounded_and_who_was_quiet_longest_is_forgotten() -> None:
    limiter = RateLimiter(Limit(requests=1, window=timedelta(minutes=1)), max_callers=100)
    for number in range(1_000):
        limiter.take(f"caller {number}", NOON)

    assert len(limiter._paid_off) == 100
    assert limiter.take("caller 999", NOON).is_over
    assert not limiter.take("caller 0", NOON).is_over


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("unix:", "unknown"),
        ("x" * 10_000, "unknown"),
    ],
)
def test_an_address_belongs_to_a_network(address: str | None, network: str) -> None:
    assert network_of(address) == network
