"""An automation's own rate, and how the batches that go out at once share it."""

from math import ceil
from typing import Final

#: So many messages a minute one batch sends with ease.
PER_BATCH: Final = 60_000


def batches_at_once(rate_per_minute: int) -> int:
    """Return how many batches of an execution may be out at a time."""
    return ceil(rate_per_minute / PER_BATCH)


def rate_of_each(rate_per_minute: int) -> float:
    """Return the part of the rate that each of them has; Units: messages a minute."""
    return rate_per_minute / batches_at_once(rate_per_minute)
