"""Keep the time of the database, and report it loudly when the time is not reliable."""

from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import Final

import structlog

from chassis.clock import DRIFT, Comparison, utc_now
from chassis.postgres import Connection, compare_clocks
from push_blaster.adapters.executions.future_stamps import forget_future

log = structlog.get_logger()

_AGREED: Final = Comparison(timedelta(0), timedelta(0))


@dataclass(slots=True)
class TimeKeeper:
    """Compares the clocks of this engine; logs what changes, and mends what a jump has left."""

    _last: Comparison | None = None
    _lock: Lock = field(default_factory=Lock)

    def compare(self, connection: Connection) -> Comparison:
        """Set the clock by the database, and return what the engine knows of its clocks now."""
        found = compare_clocks(connection)
        with self._lock:
            is_first, before = self._last is None, self._last or _AGREED
            self._last = found
        if found.jump is None and (is_first or before.jump is not None):
            forget_future(connection, utc_now())
        _log_changes(before, found)
        return found


def _log_changes(before: Comparison, found: Comparison) -> None:
    if found.jump is None and before.jump is not None:
        log.warning("clocks_agree_again")
    elif found.jump != before.jump and found.jump is not None:
        log.error("clocks_parted", jump_s=found.jump.total_seconds())
    if abs(found.ahead - before.ahead) > DRIFT + found.uncertainty:
        log.warning("machine_clock_differs", ahead_s=found.ahead.total_seconds())
