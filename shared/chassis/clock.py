"""The one place that reads the time: the database's time, carried on by monotonic time.

Clocks of machines differ and jump, and two processes that decide by their own clocks decide
differently. The clock of the database is therefore everybody's: a process compares with it every
now and then, and counts on from there by monotonic time, which nothing sets. Before the first
comparison the clock of the machine counts.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

#: The largest difference between database and monotonic time from one comparison to the next.
DRIFT: Final = timedelta(seconds=2)
#: After a larger difference, both must agree for this time before the clock is trusted again.
AGREED_FOR: Final = timedelta(seconds=60)
#: A slower answer is less exact than the time that is counted on from the answer before it.
PROMPT: Final = timedelta(milliseconds=100)
#: How many jumps a process remembers.
MAX_JUMPS: Final = 100


def machine_now() -> datetime:
    """Return what the clock of this machine says; nothing of ours is decided by it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The knowledge of a process about its clocks.

    Shape: the machine's clock is `ahead` of the database's (behind, if negative), give or take
    `uncertainty`; `jump` is by how much the database's time and monotonic time have parted, for as
    long as nobody relies on them.
    """

    ahead: timedelta
    uncertainty: timedelta
    jump: timedelta | None = None


class ReferenceClock:
    """The time of a database, by comparisons with it; safe in threads."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        machine: Callable[[], datetime] = machine_now,
    ) -> None:
        """Take the two clocks of the machine."""
        self._monotonic = monotonic
        self._machine = machine
        self._lock = threading.Lock()
        self._zero: datetime | None = None  # what the database's clock said at monotonic zero
        self._agreed_since: timedelta | None = None
        self._jump: timedelta | None = None
        #: Each jump: the count at which it was found, and what zero was before and after.
        self._jumps: tuple[tuple[timedelta, datetime, datetime], ...] = ()

    def now(self) -> datetime:
        """Return the present instant by the database; it is never ahead of the database."""
        zero = self._zero
        return self._machine() if zero is None else zero + self._count()

    @property
    def holds(self) -> bool:
        """Whether the database and monotonic time have parted, so that nothing may begin."""
        return self._jump is not None

    def shift(self, instant: datetime) -> datetime:
        """Return what the clock would have shown at `instant`, a stamp of the past, without jumps.

        The difference between now and the result is how much time has really passed.
        """
        moved, until, zero = timedelta(0), self._count() + DRIFT, self._zero
        for at, before, after in reversed(self._jumps):
            # Clocks also drift: zero has moved from `after` a little since this jump.
            if at <= instant - after and instant - (zero or after) <= until:
                break  # the stamp is younger than this jump
            moved, until, zero = moved + (after - before), at, before
        return instant + moved

    def compare(self, ask: Callable[[], datetime]) -> Comparison:
        """Set the clock by what `ask` returns, which is the database's time while it is asked."""
        before = self._count()
        answer = ask()
        with self._lock:
            after = self._count()
            self._set(answer - after, answer - before, after)
            half = (after - before) / 2
            return Comparison(self._machine() - answer - half, half, self._jump)

    def _set(self, earliest: datetime, latest: datetime, at: timedelta) -> None:
        """Take the bounds of the database's time at monotonic zero."""
        parted = _distance(self._zero or earliest, earliest, latest)
        if abs(parted) > DRIFT:
            self._jump, self._agreed_since = parted, at
            self._jumps = (*self._jumps, (at, self._zero or earliest, earliest))[-MAX_JUMPS:]
        elif self._agreed_since is not None and at - self._agreed_since >= AGREED_FOR:
            self._jump = self._agreed_since = None
        if self._zero is None or parted or latest - earliest <= PROMPT:
            self._zero = earliest

    def _count(self) -> timedelta:
        return timedelta(seconds=self._monotonic())


def _distance(instant: datetime, earliest: datetime, latest: datetime) -> timedelta:
    """Return by how much the bounds are later than `instant`; zero if it is between them."""
    return max(earliest - instant, timedelta(0)) + min(latest - instant, timedelta(0))


#: The clock of this process.
CLOCK: Final = ReferenceClock()


def utc_now() -> datetime:
    """Return the present instant, aware and in UTC, by the clock of the database."""
    return CLOCK.now()
