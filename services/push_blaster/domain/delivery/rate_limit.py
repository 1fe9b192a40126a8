"""An automation's own rate: its batches go out in turns, and rest after each, in nobody's hands.

A batch that has rested after each of its turns took as long as the rate asks, whoever sends the
next one.
"""

from datetime import timedelta
from math import ceil
from typing import Final

#: So many messages a minute one batch sends with ease.
PER_BATCH: Final = 60_000
#: How long a batch rests, unless a single message takes longer.
TURN: Final = timedelta(seconds=10)
_MINUTE: Final = timedelta(minutes=1)


def batches_at_once(rate_per_minute: int) -> int:
    """Return how many batches of an execution may be out at a time."""
    return ceil(rate_per_minute / PER_BATCH)


def messages_a_turn(rate_per_minute: int) -> int:
    """Return how many messages of a batch go out in one turn."""
    return max(1, int(_rate_of_each(rate_per_minute) * (TURN / _MINUTE)))


def rest_after(rate_per_minute: int, messages: int) -> timedelta:
    """Return how long after the beginning of a turn of so many messages the next one begins."""
    return _MINUTE * (messages / _rate_of_each(rate_per_minute))


def _rate_of_each(rate_per_minute: int) -> float:
    """Return the part of the rate that each of the batches has that are out."""
    return rate_per_minute / batches_at_once(rate_per_minute)
