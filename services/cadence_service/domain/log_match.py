"""Finds the push logs that an audience of the past may belong to."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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


class LinksByTitle:
    """Finds the first log of a title near an instant, in logarithmic time."""

    def __init__(self, logs: Sequence[LinkLog]) -> None:
        """Take the logs; if several are near an instant, the first of them counts."""
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, log in enumerate(logs):
            numbers[log.title].append(number)
        self._logs = logs
        self._ordered = {
            title: sorted(found, key=lambda number: logs[number].at)
            for title, found in numbers.items()
        }
        self._instants = {
            title: [logs[number].at for number in found] for title, found in self._ordered.items()
        }
        self._first = {title: _least_of_runs(found) for title, found in self._ordered.items()}

    @property
    def titles(self) -> list[str]:
        """Return the titles of all logs."""
        return list(self._ordered)

    def find_link(self, title: str, at: datetime) -> str | None:
        """Return the link of the first log of `title` near `at`; None if it has none."""
        instants = self._instants[title]
        start, end = bisect_left(instants, at - NEAR), bisect_right(instants, at + NEAR)
        if start == end:
            return None
        level = (end - start).bit_length() - 1
        run = self._first[title][level]
        return self._logs[min(run[start], run[end - (1 << level)])].deep_link


def _least_of_runs(numbers: list[int]) -> list[list[int]]:
    """Return, for each power of two, the smallest number of each run of that length."""
    levels = [numbers]
    while 1 << len(levels) <= len(numbers):
        half = 1 << len(levels) - 1
        levels.append(list(map(min, levels[-1], levels[-1][half:])))
    return levels


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
    """Return the instant of the text, in UTC if it names no offset; None if it is no instant."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
