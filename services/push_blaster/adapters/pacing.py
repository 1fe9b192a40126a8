"""Pacing: a token bucket that keeps all senders of this process below the provider's quota."""

import threading
import time
from collections.abc import Callable
from typing import Final

#: How much of a second's rate may go out at once.
BURST_S: Final = 0.05
#: How often a waiting sender asks whether it should stop.
LOOK_S: Final = 0.1


class TokenBucket:
    """Lets `rate_per_minute` messages pass; whoever comes early waits."""

    def __init__(self, rate_per_minute: int) -> None:
        """Take the rate, in messages a minute."""
        self._per_second = rate_per_minute / 60
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, messages: int, should_stop: Callable[[], bool]) -> None:
        """Return when `messages` may be sent, or as soon as the sender should stop."""
        with self._lock:
            starts_at = max(self._free_at, time.monotonic() - BURST_S)
            self._free_at = starts_at + messages / self._per_second
        while (wait := starts_at - time.monotonic()) > 0 and not should_stop():
            time.sleep(min(wait, LOOK_S))
