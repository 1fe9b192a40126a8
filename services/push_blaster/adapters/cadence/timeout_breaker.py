"""Patience with a neighbour: who keeps us waiting again and again is left alone for a while."""

import threading
import time
from datetime import timedelta
from typing import Final

import structlog

log = structlog.get_logger()

#: After so many waits in vain, one after the other, patience is at its end.
WAITS: Final = 3


class Patience:
    """Lets ask as long as answers come; then one question finds out, every now and then.

    Only waiting counts: who refuses at once costs nothing, and may be asked again at once.
    """

    def __init__(self, neighbour: str, rest: timedelta) -> None:
        """Take the neighbour's name for the log, and for how long it is left alone."""
        self._neighbour = neighbour
        self._rest_s = rest.total_seconds()
        self._lock = threading.Lock()
        self._waits = 0
        self._rests_until = 0.0

    def lets_ask(self) -> bool:
        """Return whether to ask now; after a rest it is true once, and then after another one."""
        with self._lock:
            now = time.monotonic()
            if self._waits < WAITS:
                return True
            if now < self._rests_until:
                return False
            self._rests_until = now + self._rest_s
            return True

    def note(self, *, waited_in_vain: bool) -> None:
        """Take what became of a question."""
        with self._lock:
            was_spent = self._waits >= WAITS
            self._waits = self._waits + 1 if waited_in_vain else 0
            is_spent = self._waits >= WAITS
            if waited_in_vain:
                self._rests_until = time.monotonic() + self._rest_s
        if is_spent and not was_spent:
            log.warning("left_alone", neighbour=self._neighbour, rest_s=self._rest_s)
        elif was_spent and not is_spent:
            log.info("asked_again", neighbour=self._neighbour)
