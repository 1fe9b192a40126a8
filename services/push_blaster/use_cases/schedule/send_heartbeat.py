"""Show a sign of life by work that was done, never by a loop that merely turns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from push_blaster.use_cases.schedule.watch_clock import ClockWatch

#: Signs of life are so far apart at the least.
APART: Final = timedelta(minutes=1)
#: A tick counts for so long.
FRESH: Final = timedelta(seconds=10)


@dataclass(slots=True)
class SignOfLife:
    """Pings after a tick that looked at every automation, if nothing that is due was left undone.

    Shape: `ping` returns whether the sign was taken; if not, the next tick tries again.
    """

    watch: ClockWatch
    ping: Callable[[], bool]
    _ticked_at: datetime | None = None
    _shown_at: datetime | None = None

    def note_tick(self, now: datetime) -> None:
        """Note that a tick has looked at all automations and handed out what was due."""
        self._ticked_at = now

    def show(self, now: datetime) -> bool:
        """Ping if a tick was done lately and the clock is not behind; at most once a minute."""
        if self._ticked_at is None or now - self._ticked_at > FRESH:
            return False
        if self._shown_at and now - self._shown_at < APART:
            return False
        if self.watch.look(now).divergent or not self.ping():
            return False
        self._shown_at = now
        return True
