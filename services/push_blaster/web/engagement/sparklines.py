"""Sparklines: the last runs of an automation as a small picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chassis.postgres import Connection
from push_blaster.adapters.engagement.last_runs import select_last_runs
from push_blaster.domain.engagement.results import share
from push_blaster.web.engagement.charts import Bar, chart_bars
from push_blaster.web.frame.template_filters import number, percent

#: How many runs a picture has.
RUNS: Final = 12
#: Shares become whole numbers for the chart, in so many parts.
_PARTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The last runs, the oldest first: users sent to, and users who opened."""

    runs: Sequence[tuple[int, int]]

    @property
    def tone(self) -> str:
        """Whether the bars are open rates, or, while nobody opened anything, users sent to."""
        return "open" if any(opened for _, opened in self.runs) else "sent"

    @property
    def bars(self) -> Sequence[Bar]:
        """The bars; missing runs leave room on the left."""
        return chart_bars([(0, 0)] * (RUNS - len(self.runs)) + self._heights()).bars

    @property
    def label(self) -> str:
        """The picture in words."""
        count = f"Last {len(self.runs)} runs" if len(self.runs) > 1 else "Last run"
        if self.tone == "sent":
            return f"{count}: {_say_range([sent for sent, _ in self.runs], number)} sent, no opens"
        return f"{count}: opened by {_say_range(self._rates, percent)}"

    @property
    def _rates(self) -> Sequence[float]:
        return [share(opened, sent) or 0.0 for sent, opened in self.runs]

    def _heights(self) -> list[tuple[int, int]]:
        if self.tone == "sent":
            return [(sent, 0) for sent, _ in self.runs]
        return [(round(rate * _PARTS), 0) for rate in self._rates]


def read_sparklines(
    connection: Connection, automation_ids: Sequence[str]
) -> Mapping[str, Sparkline]:
    """Return the pictures of the automations that have sent something, by id."""
    found = select_last_runs(connection, automation_ids, RUNS)
    return {id_: Sparkline(runs) for id_, runs in found.items()}


def _say_range(values: Sequence[float], say: Callable[[float], str]) -> str:
    """Return the smallest and the largest value in words."""
    low, high = say(min(values)), say(max(values))
    return low if low == high else f"{low} to {high}"
