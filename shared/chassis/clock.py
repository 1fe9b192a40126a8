"""The one place that reads the time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present instant, aware and in UTC."""
    return datetime.now(UTC)
