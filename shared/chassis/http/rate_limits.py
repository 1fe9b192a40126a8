"""Limits on how often a caller may do something.

Each process counts for itself and forgets with its end, so a limit is approximate: behind N
workers, a caller may get up to N times as much. The memory for the counts is bounded.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from threading import Lock
from typing import Final

NO_WAIT: Final = timedelta(0)
#: What sums of fractions may be off.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` at once, and as many more in each further `window`."""

    requests: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Usage:
    """What is left for a caller after a request.

    Shape: `wait` is zero if the request is within the limit; a later attempt may succeed after it.
    """

    remaining: int
    wait: timedelta

    @property
    def is_over(self) -> bool:
        """Return whether the request is beyond the limit."""
        return self.wait > NO_WAIT


class RateLimiter:
    """Counts the requests of each caller; safe to use from several threads.

    For each caller, the limiter keeps one time: when the caller's requests are paid off, if each
    request costs an equal part of the window. When there are too many callers, the limiter forgets
    the caller that was quiet for longest.
    """

    def __init__(self, limit: Limit, max_callers: int = 10_000) -> None:
        """Take the limit, and for how many callers the limiter counts."""
        self._window = limit.window.total_seconds()
        self._cost = self._window / limit.requests
        self._max_callers = max_callers
        self._paid_off: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def take(self, caller: str, now: float, requests: int = 1) -> Usage:
        """Count requests of `caller`, unless they are beyond the limit; return what is left.

        Units: `now` in seconds, of a clock that nobody sets, such as time.monotonic().
        """
        cost = self._cost * requests
        with self._lock:
            before = max(self._paid_off.get(caller, now), now)
            left = now + self._window - before - cost
            is_over = left < -_ROUNDING
            self._paid_off[caller] = before if is_over else before + cost
            self._paid_off.move_to_end(caller)
            if len(self._paid_off) > self._max_callers:
                self._paid_off.popitem(last=False)
        wait = timedelta(seconds=-left) if is_over else NO_WAIT
        return Usage(max(0, int(left / self._cost + _ROUNDING)), wait)


def network_of(address: str | None) -> str:
    """Return whose address this is: an IPv4 address, or the /64 network of an IPv6 address.

    One customer of a provider usually has a whole /64. An IPv4 address within IPv6 is the IPv4
    address; what is no address is "unknown".
    """
    try:
        ip = ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or f"{IPv6Address(int(ip) >> 64 << 64)}/64")
