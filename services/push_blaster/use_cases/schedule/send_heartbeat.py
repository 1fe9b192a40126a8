"""Send a heartbeat after finished work; a loop that only runs sends none."""

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
    _ticked_at: datetime | None = None
    _sent_at: datetime | None = None

    def note_tick(self, now: datetime) -> None:
        """Note that a tick has looked at all automations and dispatched the work that is due."""
        self._ticked_at = now

    def send_if_due(self, now: datetime) -> bool:
        """Ping at most once a minute, if a tick was done lately and the clock is not behind."""
        if self._ticked_at is None or now - self._ticked_at > FRESH:
            return False
        if self._sent_at and now - self._sent_at < INTERVAL:
            return False
        if self.watch.look(now).divergent or not self.ping():
            return False
        self._sent_at = now
        return True
