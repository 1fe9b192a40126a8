"""Pacing, by the clock of a test."""

from dataclasses import dataclass

from push_blaster.adapters.delivery.pacing import TokenBucket


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def rate(bucket: TokenBucket) -> int:
    found: int = bucket.describe()["ratePerMinute"]
    return found


def test_engines_have_equal_parts_of_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(600_000, clock=clock)

    bucket.share(4)

    assert rate(bucket) == 150_000


def test_the_rate_rises_within_a_minute_after_idling() -> None:
    clock = Clock()
    bucket = TokenBucket(600_000, ramp_s=60, clock=clock)

    rates = []
    for _ in range(3):
        rates.append(rate(bucket))
        clock.now += 30

    assert rates == [60_000, 330_000, 600_000]
    clock.now += 61
    assert bucket.take(1, lambda: False) == 1
    assert rate(bucket) == 60_000


def test_nobody_waits_for_long_at_the_low_rate_of_a_beginning() -> None:
    clock = Clock()
    bucket = TokenBucket(60_000, ramp_s=60, clock=clock)

    assert bucket.take(500, lambda: False) == 25, "a quarter of a second, at 100 a second"
    clock.now += 60
    assert bucket.take(500, lambda: False) == 250


def test_answers_over_quota_slow_down_and_clean_seconds_speed_up() -> None:
    clock = Clock()
    bucket = TokenBucket(600_000, clock=clock)

    clock.now += 1.1
    bucket.note(succeeded=90, failed=0, over_quota=10)
    slowed = rate(bucket)
    clock.now += 1.1
    bucket.note(succeeded=100, failed=0, over_quota=1)
    faster = rate(bucket)

    assert (slowed, faster) == (420_000, 428_400)


def test_while_the_provider_fails_nobody_sends_and_a_stop_is_heard() -> None:
    clock = Clock()
    bucket = TokenBucket(600_000, clock=clock)
    bucket.note(succeeded=0, failed=60, over_quota=0)
    looks = iter([False, False, True])

    assert bucket.take(100, lambda: next(looks)) == 0
    assert bucket.describe()["breaker"] == "open"
    clock.now += 11
    assert bucket.take(100, lambda: False) == 10
    assert bucket.describe()["breaker"] == "half_open"


def test_while_the_clocks_part_nobody_sends_and_a_stop_is_heard() -> None:
    parted = True
    bucket = TokenBucket(600_000, clock=Clock(), holds=lambda: parted)
    looks = iter([False, False, True])

    assert bucket.take(100, lambda: next(looks)) == 0
    parted = False
    assert bucket.take(100, lambda: False) == 100


def test_a_fault_is_told_until_a_message_is_sent_or_for_an_hour() -> None:
    clock = Clock()
    bucket = TokenBucket(600_000, clock=clock)
    bucket.note_fault("no key")
    told = bucket.describe()["fault"]
    bucket.note_sent()
    after_a_send = bucket.describe()
    bucket.note_fault("no key")
    clock.now += 3_601

    assert told == "no key"
    assert "fault" not in after_a_send
    assert "fault" not in bucket.describe()


def test_a_few_refused_messages_are_no_fault_of_the_provider() -> None:
    bucket = TokenBucket(600_000, clock=Clock())

    bucket.note_fault("bad token", 9)
    after_nine = bucket.describe()
    bucket.note_sent()
    bucket.note_fault("bad token", 9)
    after_a_send_and_nine = bucket.describe()
    bucket.note_fault("bad token", 1)

    assert "fault" not in after_nine
    assert "fault" not in after_a_send_and_nine
    assert bucket.describe()["fault"] == "bad token"
