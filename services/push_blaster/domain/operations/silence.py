"""Who has shown no sign of life for a time, by what the watcher itself has seen.

No clock of another machine counts, and no time in which the watcher could not look: after an
outage of the database, or a pause of the watcher, everybody has the whole time again to show life.
"""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

Who = TypeVar("Who")

#: After a longer pause between two looks the watcher could not look, and only so much of it counts.
PAUSE_S: Final = 2.0
STEP_S: Final = 1.0


class SilenceWatch(Generic[Who]):
    """Looks, about every second, at a value that each living one changes."""

    def __init__(self, after_s: float) -> None:
        """Take how long one may be silent."""
        self._after_s = after_s
        self._looked_at: float | None = None
        self._signs: dict[Who, object] = {}
        self._silent_s: dict[Who, float] = {}

    def look(self, signs: Mapping[Who, object], at: float) -> set[Who]:
        """Return those of `signs` that have been silent for too long.

        Units: `at` is the watcher's monotonic clock.
        """
        passed = 0.0 if self._looked_at is None else at - self._looked_at
        step = passed if passed <= PAUSE_S else STEP_S
        self._silent_s = {
            who: self._silent_s.get(who, 0.0) + step if self._signs.get(who) == sign else 0.0
            for who, sign in signs.items()
        }
        self._signs, self._looked_at = dict(signs), at
        return {who for who, silent_s in self._silent_s.items() if silent_s >= self._after_s}

    def knows(self, who: Who) -> bool:
        """Return whether `who` was in the last look, and not silent for too long."""
        return self._silent_s.get(who, self._after_s) < self._after_s
