"""Pacing: keeps this process below the provider's quota, and away from a provider that fails."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from push_blaster.domain.delivery.breaker import Breaker

#: The share of a second's rate that may go out at once.
BURST_S: Final = 0.05
#: The share of a second's rate for which a sender waits at a time: during a longer wait it would
#: not notice that the rate has risen.
CHUNK_S: Final = 0.25
#: How often a waiting sender checks whether it should stop.
LOOK_S: Final = 0.1
#: After so long without a message the rate begins low again, at this share.
IDLE_S: Final = 60.0
FIRST_SHARE: Final = 0.1
#: More than this share of a second over quota slows down; a second without speeds up.
TOO_MANY: Final = 0.05
SLOWER: Final = 0.7
FASTER: Final = 1.02
SLOWEST: Final = 0.05
#: So many messages in a row are refused because of the provider, and not because of a device.
MANY_REFUSED: Final = 10
#: For how long a fault is told if nothing is sent after it.
FAULT_LASTS_S: Final = 3_600.0


class TokenBucket:
    """Lets `rate_per_minute` messages pass; a sender that comes early waits for its turn."""

    def __init__(
        self,
        rate_per_minute: int,
        *,
        ramp_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the rate, how long it takes to reach it after idling, and when nobody may send."""
        self._clock = clock
        self._holds = holds
        self._per_second = rate_per_minute / 60
        self._ramp_s = ramp_s
        self._breaker = Breaker()
        self._lock = threading.Lock()
        self._engines = 1
        self._slowed = 1.0
        self._free_at = self._ramp_from = clock()
        self._second = (0.0, 0, 0)
        self._fault: tuple[str, float] | None = None
        self._refused = 0

    def take(self, messages: int, should_stop: Callable[[], bool]) -> int:
        """Wait until some of `messages` may be sent, and return how many; 0 if it should stop."""
        while not should_stop():
            with self._lock:
                chunk = _chunk(messages, self._rate(self._clock()))
                allowed = 0 if self._holds() else self._breaker.allow(chunk, self._clock())
                starts_at = self._book(allowed)
            if not allowed:
                time.sleep(LOOK_S)
                continue
            _wait_until(starts_at, self._clock, should_stop)
            return allowed
        return 0

    def note(self, succeeded: int, failed: int, over_quota: int) -> None:
        """Take the outcomes of messages: accepted by the provider, failed, or over its quota."""
        now = self._clock()
        with self._lock:
            self._breaker.note(succeeded, failed, now)
            since, all_, over = self._second
            all_, over = all_ + succeeded + failed + over_quota, over + over_quota
            if now - since < 1:
                self._second = (since, all_, over)
                return
            is_too_many = over > all_ * TOO_MANY
            changed = self._slowed * (SLOWER if is_too_many else FASTER)
            self._slowed = min(1.0, max(SLOWEST, changed))
            self._second = (now, 0, 0)

    def note_sent(self) -> None:
        """Forget the fault: a message was sent."""
        with self._lock:
            self._refused, self._fault = 0, None

    def note_fault(self, reason: str, refused: int | None = None) -> None:
        """Take why none of the last messages was sent.

        Shape: the provider `refused` so many of them; None if no message can be sent.
        """
        with self._lock:
            self._refused += MANY_REFUSED if refused is None else refused
            if self._refused >= MANY_REFUSED:
                self._fault = (reason, self._clock() + FAULT_LASTS_S)

    def share(self, engines: int) -> None:
        """Take how many engines send; each gets an equal part of the rate."""
        with self._lock:
            self._engines = max(1, engines)

    def describe(self) -> Mapping[str, Any]:
        """Return the state for people: the present rate per minute, breaker, and fault, if any."""
        with self._lock:
            text, until = self._fault or ("", 0.0)
            fault = {"fault": text} if text and self._clock() < until else {}
            return {
                "ratePerMinute": round(self._rate(self._clock()) * 60),
                "breaker": self._breaker.state.value,
                "slowedTo": round(self._slowed, 2),
                "engines": self._engines,
                **fault,
            }

    def _book(self, messages: int) -> float:
        """Return when `messages` may begin, and reserve the time that they take."""
        now = self._clock()
        if now - self._free_at > IDLE_S:
            self._ramp_from = now
        starts_at = max(self._free_at, now - BURST_S)
        if messages:
            self._free_at = starts_at + messages / self._rate(now)
        return starts_at

    def _rate(self, now: float) -> float:
        risen = (now - self._ramp_from) / self._ramp_s if self._ramp_s else 1.0
        ramp = min(1.0, FIRST_SHARE + (1 - FIRST_SHARE) * risen)
        return self._per_second * ramp * self._slowed / self._engines


def _chunk(messages: int, per_second: float) -> int:
    return min(messages, max(1, int(per_second * CHUNK_S)))


def _wait_until(
    instant: float, clock: Callable[[], float], should_stop: Callable[[], bool]
) -> None:
    while (wait := instant - clock()) > 0 and not should_stop():
        time.sleep(min(wait, LOOK_S))
