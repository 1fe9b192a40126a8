from datetime import timedelta

import pytest

from push_blaster.domain.delivery.retry import RetryPolicy, Tried
from tests.builders import NOON

POLICY = RetryPolicy(backoff=timedelta(seconds=20), budget=timedelta(minutes=10))


@pytest.mark.parametrize(
    ("times", "dice", "seconds"),
    [(1, 0.0, 10), (1, 1.0, 20), (2, 0.0, 20), (3, 1.0, 80), (40, 1.0, 300)],
    ids=["never under 10 s", "at most 20 s", "doubled", "and again", "five minutes at the most"],
)
def test_each_try_waits_longer(times: int, dice: float, seconds: float) -> None:
    due_at = POLICY.next_try(Tried(times, NOON), NOON, None, dice)

    assert due_at == NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 60), (1.0, 66)])
def test_what_the_provider_asks_for_is_honoured(dice: float, seconds: float) -> None:
    assert POLICY.next_try(Tried(1, NOON), NOON, 60, dice) == NOON + timedelta(seconds=seconds)


def test_a_message_whose_time_is_up_is_given_up() -> None:
    now = NOON + timedelta(minutes=9, seconds=55)

    assert POLICY.next_try(Tried(2, NOON), now, None, 0.0) is None
    assert POLICY.next_try(Tried(1, now), now, None, 0.0) is not None


def test_a_pause_of_the_provider_is_kept_up_to_the_end_of_the_budget() -> None:
    assert POLICY.next_try(Tried(1, NOON), NOON, 600, 1.0) == NOON + timedelta(minutes=10)
    assert POLICY.next_try(Tried(1, NOON), NOON, 601, 0.0) is None
    assert POLICY.next_try(Tried(1, NOON), NOON, 999_999_999_999_999, 1.0) is None
