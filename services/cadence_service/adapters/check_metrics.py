"""Metrics that only the process that checks an audience can count."""

from typing import Final

from prometheus_client import Counter

FAILED_OPEN: Final = Counter(
    "cadence_failed_open", "Cap checks that failed open: every user was let through."
)
