"""A circuit breaker: a provider that fails most messages gets none for a while."""

from collections import deque
from enum import StrEnum
from typing import Final

#: The number of last outcomes that count, and the number that is needed.
WINDOW: Final = 200
ENOUGH: Final = 50
#: How many messages test whether the provider is back.
PROBE: Final = 10
FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 300.0


class BreakerState(StrEnum):
    """Whether messages pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens when more than half of the last outcomes are failures; a few messages close it again.

    Units: instants are seconds of any one clock.
    """

    def __init__(self, first_pause_s: float = FIRST_PAUSE_S) -> None:
        """Take the length of the first pause; it doubles with every probe that fails."""
        self.state = BreakerState.CLOSED
        self._first_pause_s = first_pause_s
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._opened = 0
        self._until = 0.0
        self._probed_at: float | None = None

    def allow(self, wanted: int, now: float) -> int:
        """Return how many of `wanted` messages may begin now."""
        if self.state is BreakerState.CLOSED:
            return wanted
        if now < self._until:
            return 0
        if self.state is BreakerState.HALF_OPEN and not self._is_probe_lost(now):
            return 0
        self.state, self._probed_at = BreakerState.HALF_OPEN, now
        return min(PROBE, wanted)

    def note(self, succeeded: int, failed: int, now: float) -> None:
        """Take the outcomes of messages."""
        if self.state is BreakerState.HALF_OPEN:
            self._judge_probe(succeeded, failed, now)
            return
        self._recent.extend([True] * min(succeeded, WINDOW) + [False] * min(failed, WINDOW))
        failures = len(self._recent) - sum(self._recent)
        is_known = self.state is BreakerState.CLOSED and len(self._recent) >= ENOUGH
        if is_known and failures * 2 > len(self._recent):
            self._open(now)

    def _judge_probe(self, succeeded: int, failed: int, now: float) -> None:
        if succeeded > failed:
            self.state, self._opened = BreakerState.CLOSED, 0
            self._recent.clear()
        elif failed:
            self._open(now)

    def _open(self, now: float) -> None:
        pause_s = min(LONGEST_PAUSE_S, self._first_pause_s * 2**self._opened)
        self.state, self._until = BreakerState.OPEN, now + pause_s
        self._opened = min(self._opened + 1, 10)
        self._recent.clear()

    def _is_probe_lost(self, now: float) -> bool:
        """Return whether the outcome of the last probe is overdue and will never come."""
        return self._probed_at is not None and now - self._probed_at > LONGEST_PAUSE_S / 5
