"""Retries: when to try a message again that the provider did not take."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

#: The longest pause, unless the provider asks for a longer one.
LONGEST: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Tried:
    """How often a message was tried before, and the time of the first try."""

    times: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long a message is retried.

    Units: `backoff` is the longest first pause, and doubles with every try; `budget` is how long
    after its first try a message may be tried at all.
    """

    backoff: timedelta = timedelta(seconds=20)
    budget: timedelta = timedelta(minutes=10)

    def next_try(
        self, tried: Tried, now: datetime, asked_s: float | None, jitter: float
    ) -> datetime | None:
        """Return when to try again after `tried`, or None if the time for it is over.

        Shape: the pause is what the provider asks for plus up to a tenth, within the budget; else
        half the backoff to the whole of it. `jitter` is between 0 and 1, so that not all messages
        come back at once.
        """
        last = tried.since + self.budget
        if asked_s:
            if self.is_too_long(tried, now, asked_s):
                return None
            return min(now + timedelta(seconds=asked_s * (1 + jitter / 10)), last)
        longest = min(LONGEST, self.backoff * 2 ** min(tried.times - 1, 20))
        due_at = now + longest * (1 + jitter) / 2
        return due_at if due_at <= last else None

    def is_too_long(self, tried: Tried, now: datetime, asked_s: float) -> bool:
        """Return whether the pause that the provider asks for ends after the budget."""
        return asked_s > (tried.since + self.budget - now).total_seconds()
