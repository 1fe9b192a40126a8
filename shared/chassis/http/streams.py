"""Streams: how many answers may go on at once, in all and for one caller."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final

from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

from chassis.http.request_classes import STREAMS, STREAMS_OF_A_CALLER

#: After how many seconds a client that was refused may ask again.
RETRY_S: Final = 10
#: The last words of a stream whose process ends: clients of event streams come back after a second.
FAREWELL: Final = "event: restart\nretry: 1000\ndata: {}\n\n"


class StreamBudget:
    """The streams that are open in this process."""

    def __init__(self, total: int = STREAMS, of_a_caller: int = STREAMS_OF_A_CALLER) -> None:
        """Take the most streams, and the most of one caller."""
        self._total = total
        self._of_a_caller = of_a_caller
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def admit(self, caller: str, lines: Iterator[str]) -> "Stream":
        """Return the stream; TooManyRequests, ServiceUnavailable if there are too many."""
        with self._lock:
            if self._open[caller] >= self._of_a_caller:
                raise TooManyRequests(
                    f"You follow {self._of_a_caller} streams already. Close one of them.",
                    retry_after=RETRY_S,
                )
            if self._open.total() >= self._total:
                raise ServiceUnavailable(
                    "Too many people follow streams just now. Read the log without "
                    "text/event-stream, or try again later.",
                    retry_after=RETRY_S,
                )
            self._open[caller] += 1
        return Stream(self, caller, lines)

    def forget(self, caller: str) -> None:
        """Count a stream of this caller no more."""
        with self._lock:
            self._open[caller] -= 1
            self._open += Counter()  # drops callers without streams


class Stream:
    """The lines of one stream; closing it twice is harmless."""

    def __init__(self, budget: StreamBudget, caller: str, lines: Iterator[str]) -> None:
        """Take the budget that the stream counts in."""
        self._budget: StreamBudget | None = budget
        self._caller = caller
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def close(self) -> None:
        """End the stream."""
        budget, self._budget = self._budget, None
        if budget:
            budget.forget(self._caller)

    __del__ = close
