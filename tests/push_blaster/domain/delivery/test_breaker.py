import pytest

from push_blaster.domain.delivery.breaker import PROBE, Breaker, BreakerState


def open_breaker(now: float = 0.0) -> Breaker:
    breaker = Breaker(first_pause_s=10)
    breaker.note(succeeded=20, failed=30, now=now)
    return breaker


def test_a_few_failures_stop_nothing() -> None:
    breaker = Breaker()

    breaker.note(succeeded=0, failed=49, now=0)
    assert breaker.allow(500, 0) == 500
    breaker.note(succeeded=60, failed=0, now=0)

    assert (breaker.allow(500, 0), breaker.state) == (500, BreakerState.CLOSED)


def test_more_failures_than_not_stop_everything_for_a_while() -> None:
    breaker = open_breaker()

    assert breaker.state is BreakerState.OPEN
    assert [breaker.allow(500, now) for now in (0, 5, 9.9)] == [0, 0, 0]


def test_a_few_messages_find_out_whether_it_is_back() -> None:
    breaker = open_breaker()

    assert [breaker.allow(500, 10), breaker.allow(500, 10)] == [PROBE, 0]
    breaker.note(succeeded=PROBE, failed=0, now=11)

    assert (breaker.allow(500, 11), breaker.state) == (500, BreakerState.CLOSED)


def test_a_probe_that_fails_doubles_the_pause() -> None:
    breaker = open_breaker()
    breaker.allow(500, 10)
    breaker.note(succeeded=0, failed=PROBE, now=11)

    assert [breaker.allow(500, now) for now in (21, 30.9)] == [0, 0]
    assert breaker.allow(500, 31) == PROBE


@pytest.mark.parametrize("later", [71.0, 400.0])
def test_a_probe_that_nobody_tells_of_is_sent_again(later: float) -> None:
    breaker = open_breaker()
    breaker.allow(500, 10)

    assert breaker.allow(500, 60) == 0
    assert breaker.allow(500, later) == PROBE
