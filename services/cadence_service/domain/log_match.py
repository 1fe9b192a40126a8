"""Finds the push logs that an audience of the past may belong to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MAX_AGE: Final = timedelta(days=90)
MAX_MATCHES: Final = 10
#: How near the instant of a log must be to the instant of a send.
NEAR: Final = timedelta(minutes=5)
_QUALITY: Final = ((0.0, 100), (0.02, 95), (0.05, 85), (0.10, 70), (0.20, 50))


#: A push log as its file has it.
_Log = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LinkLog:
    """A push that really went out: its title, its instant, its deep link if it had one."""

    title: str
    at: datetime
    deep_link: str | None


def find_matching_logs(
    audience_size: int, logs: Iterable[_Log], now: datetime
) -> list[dict[str, object]]:
    """Return the logs whose audience is nearest in size, with the difference and its quality.

    Shape: up to 10, nearest first; only real, completed pushes of the last 90 days.
    """
    found = []
    for log in logs:
        size = log.get("totalCount") or log.get("audienceSize") or 0
        at = read_instant(log.get("timestamp"))
        if size > 0 and at is not None and now - at <= MAX_AGE and is_real(log):
            difference = abs(size - audience_size)
            share = difference / max(size, audience_size)
            found.append(
                {
                    **log,
                    "audienceSize": size,
                    "audienceSizeDiff": difference,
                    "matchQuality": next((q for limit, q in _QUALITY if share <= limit), 25),
                }
            )
    return sorted(found, key=lambda match: match["audienceSizeDiff"])[:MAX_MATCHES]


def read_link_logs(logs: Iterable[_Log]) -> tuple[list[LinkLog], list[str]]:
    """Return the logs of real, completed pushes, in order, and what is wrong with the others."""
    good: list[LinkLog] = []
    errors: list[str] = []
    for number, log in enumerate(logs, start=1):
        if not is_real(log):
            continue
        title, at = log.get("title"), read_instant(log.get("timestamp"))
        if not isinstance(title, str) or not title.strip():
            errors.append(f"Log {number} has no title.")
        elif at is None:
            errors.append(f"Log {number} has no instant (timestamp, ISO 8601).")
        else:
            good.append(LinkLog(title.strip(), at, log.get("deepLink") or None))
    return good, errors


def is_real(log: _Log) -> bool:
    """Return whether the log is of a push that was completed and no dry run."""
    return log.get("status") == "completed" and not log.get("isDryRun")


def read_instant(text: object) -> datetime | None:
    """Return the instant that the text names, in UTC where it names no offset; None if none."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
