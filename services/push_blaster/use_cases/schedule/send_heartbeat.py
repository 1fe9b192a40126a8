"""Send a heartbeat after finished work; a loop that only runs sends none."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from push_blaster.use_cases.schedule.watch_clock import ClockWatch

#: The shortest time between two heartbeats.
INTERVAL: Final = timedelta(minutes=1)
#: How long after a tick a heartbeat may be sent.
FRESH: Final = timedelta(seconds=10)


@dataclass(slots=True)
class Heartbeat:
    """Pings after a tick that looked at every automation, unless a due execution is missing.

    Shape: `ping` returns whether the receiver took the heartbeat; else the next call tries again.
    """

    watch: ClockWatch
    ping: Callable[[], bool]
    uptime: Callable[[], float] = time.monotonic
    _ticked_at: float = -math.inf
    _sent_at: float = -math.inf

    def note_tick(self) -> None:
        """Note that a tick has looked at all automations and dispatched the work that is due."""
        self._ticked_at = self.uptime()

    def send_if_due(self, now: datetime) -> bool:
        """Ping at most once a minute, if a tick was done lately and the clock is not behind."""
        at = self.uptime()
        if at - self._ticked_at > FRESH.total_seconds():
            return False
        if at - self._sent_at < INTERVAL.total_seconds():
            return False
        if self.watch.look(now).divergent or not self.ping():
            return False
        self._sent_at = at
        return True
