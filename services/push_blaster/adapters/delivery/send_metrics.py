"""Metrics that only a sending engine knows: outcomes at the provider, and times of cap checks."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import prometheus_client

from push_blaster.domain.delivery.message import Delivery

OUTCOMES: Final = prometheus_client.Counter(
    "push_provider_outcomes", "What became of messages at the provider.", ("outcome",)
)
CAP_CHECKS: Final = prometheus_client.Histogram(
    "push_cap_check_seconds",
    "How long the cadence service took to check a batch, retries and failures included.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)

LATENESS: Final = prometheus_client.Histogram(
    "push_live_lateness_seconds",
    "How long after the planned instant the first message of a live push went to the provider.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 300, 1800),
)


def count_outcomes(deliveries: Iterable[Delivery]) -> None:
    """Count the outcomes of messages."""
    for outcome, number in Counter(delivery.outcome for delivery in deliveries).items():
        OUTCOMES.labels(outcome).inc(number)


@contextmanager
def timing_cap_check() -> Iterator[None]:
    """Time the cap check of one batch, however it ends."""
    with CAP_CHECKS.time():
        yield
