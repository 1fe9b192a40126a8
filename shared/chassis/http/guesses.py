"""A brake on guessing tokens: too many unknown tokens from one network get 429.

A valid token always passes, whoever else has guessed from the same network. So it is the length of
a token that keeps guesses from success; the brake bounds what guesses cost, and what they leave.
"""

import time
from datetime import timedelta
from math import ceil
from typing import Final

from flask import request
from werkzeug.exceptions import TooManyRequests

from chassis.http.rate_limits import Limit, RateLimiter, Usage, network_of

#: What an unknown token of too many is told; our own clients recognise it.
TOO_MANY: Final = "Too many unknown tokens came from this address. A valid token still works."
#: Many people may share one address, and mistype.
GUESSES: Final = Limit(requests=100, window=timedelta(minutes=5))


class GuessLimit:
    """Counts the unknown tokens of each network."""

    def __init__(self) -> None:
        """Begin without a guess."""
        self._limiter = RateLimiter(GUESSES)

    def count(self) -> Usage:
        """Count that this request brought an unknown token; return what is left."""
        return self._limiter.take(network_of(request.remote_addr), time.monotonic())


def when_to_retry(usage: Usage) -> int:
    """Return the value of Retry-After, in seconds."""
    return ceil(usage.wait.total_seconds())


def refuse_excess(usage: Usage, text: str) -> None:
    """Refuse a request beyond its limit, with when to retry. Raises: TooManyRequests."""
    if usage.is_over:
        raise TooManyRequests(text, retry_after=when_to_retry(usage))
