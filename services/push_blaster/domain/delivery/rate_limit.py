"""An automation's own rate: a batch is sent in turns, and rests after each turn.

No worker waits while a batch rests. With its rests, the batch takes as long as the rate demands;
any worker may send the next turn.
"""

from datetime import timedelta
from math import ceil
from typing import Final

#: How many messages a minute one batch can send.
PER_BATCH: Final = 60_000
#: How long a batch rests after a turn, unless the rate needs longer for one message.
TURN: Final = timedelta(seconds=10)
_MINUTE: Final = timedelta(minutes=1)


def batches_at_once(rate_per_minute: int) -> int:
    """Return how many batches of an execution may be dispatched at a time."""
    return ceil(rate_per_minute / PER_BATCH)


def messages_a_turn(rate_per_minute: int) -> int:
    """Return how many messages of a batch go out in one turn."""
    return max(1, int(_rate_of_each(rate_per_minute) * (TURN / _MINUTE)))


def rest_after(rate_per_minute: int, messages: int) -> timedelta:
    """Return how long after the start of a turn of `messages` the next turn starts."""
    return _MINUTE * (messages / _rate_of_each(rate_per_minute))


def _rate_of_each(rate_per_minute: int) -> float:
    """Return the part of the rate for each dispatched batch."""
    return rate_per_minute / batches_at_once(rate_per_minute)
