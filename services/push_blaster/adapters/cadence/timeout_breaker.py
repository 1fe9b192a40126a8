"""Limits on waiting for a service that does not answer in time, or that is busy."""

import math
import threading
import time
from datetime import timedelta
from typing import Final

import structlog

log = structlog.get_logger()

#: How many timeouts in a row open the breaker.
TIMEOUTS: Final = 3


class TimeoutBreaker:
    """Opens after several timeouts in a row; then lets one request through after each rest.

    Only timeouts count: an error that comes at once costs no time, so requests may continue.
    """

    def __init__(self, service: str, rest: timedelta) -> None:
        """Take the name of the service for the log, and the time between two requests."""
        self._service = service
        self._rest_s = rest.total_seconds()
        self._lock = threading.Lock()
        self._timeouts = 0
        self._rests_until = 0.0

    def allows(self) -> bool:
        """Return whether a request may be sent now; while open, once after each rest."""
        with self._lock:
            now = time.monotonic()
            if self._timeouts < TIMEOUTS:
                return True
            if now < self._rests_until:
                return False
            self._rests_until = now + self._rest_s
            return True

    def note(self, *, timed_out: bool) -> None:
        """Take the outcome of a request."""
        with self._lock:
            was_open = self._timeouts >= TIMEOUTS
            self._timeouts = self._timeouts + 1 if timed_out else 0
            is_open = self._timeouts >= TIMEOUTS
            if timed_out:
                self._rests_until = time.monotonic() + self._rest_s
        if is_open and not was_open:
            log.warning("left_alone", neighbour=self._service, rest_s=self._rest_s)
        elif was_open and not is_open:
            log.info("asked_again", neighbour=self._service)


class BusyLimit:
    """Measures how long a service has only said that it is busy, and whether that is too long.

    A service that is busy for so long is treated as one that is away.
    """

    def __init__(self, limit: timedelta) -> None:
        """Take how long the service may be busy."""
        self._limit_s = limit.total_seconds()
        self._lock = threading.Lock()
        self._busy_since = 0.0
        self._asks_at = -math.inf

    def allows(self, pause_s: float) -> bool:
        """Note that the service asks for a pause; return whether to ask it again after the pause.

        If nobody has asked for a long time, the service counts as busy from now on.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._asks_at > self._limit_s:
                self._busy_since = now
            self._asks_at = now + pause_s
            return self._asks_at - self._busy_since <= self._limit_s

    def reset(self) -> None:
        """Note that the service gave another answer."""
        with self._lock:
            self._asks_at = -math.inf
