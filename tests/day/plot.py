"""Memory over time as a picture: an SVG, written by hand."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Final

from tests.day.day import Day
from tests.day.observer import Weighed

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 900, 420, 60, 40, 60, 150
COLOURS: Final = ("#1f77b4", "#17becf", "#2ca02c", "#ff7f0e", "#d6a000", "#9467bd", "#8c564b")
STYLE: Final = (
    "text{font:13px sans-serif;fill:#57606a}.grid{stroke:#8886;stroke-width:1}"
    ".fault{stroke:#cf222e;stroke-width:1.5}.line{fill:none;stroke-width:1.8}"
)


def draw(day: Day) -> str:
    """Return the picture: a line a part, broken where it was killed; a tick a fault."""
    top_mb = 50 * (1 + int(max(w.rss_mb for w in day.weights) // 50))
    picture = _Picture(day, top_mb)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            "<title>Memory of each part over the run; red ticks are faults</title>",
            f"<style>{STYLE}</style>",
            f'<text x="{LEFT}" y="20">Resident memory, MB; each red tick is a fault</text>',
            *picture.grid(),
            *picture.lines(),
            *picture.faults(),
            "</svg>",
            "",
        ]
    )


class _Picture:
    def __init__(self, day: Day, top_mb: float) -> None:
        self._day = day
        self._top_mb = top_mb
        self._minutes = (day.ended_at - day.began_at).total_seconds() / 60

    def grid(self) -> Iterator[str]:
        for mb in range(0, int(self._top_mb) + 1, 50):
            y = self._y(mb)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{mb}</text>'
        for minute in range(0, int(self._minutes) + 1, max(1, int(self._minutes // 6))):
            x = LEFT + minute / self._minutes * (WIDTH - LEFT - RIGHT)
            yield f'<text x="{x:.1f}" y="{HEIGHT - 20}" text-anchor="middle">{minute} min</text>'

    def lines(self) -> Iterator[str]:
        lives: dict[str, dict[int, list[Weighed]]] = defaultdict(lambda: defaultdict(list))
        for weighed in self._day.weights:
            if weighed.at <= self._day.ended_at:
                lives[weighed.part][weighed.life].append(weighed)
        labels = self._place_labels(
            {p: list(of.values())[-1][-1].rss_mb for p, of in lives.items()}
        )
        for (part, of), colour in zip(lives.items(), COLOURS, strict=False):
            for life in of.values():
                points = " ".join(f"{self._x(w.at):.1f},{self._y(w.rss_mb):.1f}" for w in life)
                yield f'<polyline class="line" stroke="{colour}" points="{points}"/>'
            x, y = WIDTH - RIGHT + 8, labels[part]
            yield f'<text x="{x}" y="{y:.1f}" style="fill:{colour}">{escape(part)}</text>'

    def faults(self) -> Iterator[str]:
        for fault in self._day.struck:
            x, y = self._x(fault.since), HEIGHT - BOTTOM
            text = escape(f"{fault.since:%H:%M} {fault.kind}")
            yield f'<path class="fault" d="M{x:.1f} {y}v10"><title>{text}</title></path>'

    def _place_labels(self, ends: dict[str, float]) -> dict[str, float]:
        """Return where each part's name stands: beside its end, and below the name before."""
        placed: dict[str, float] = {}
        least = 0.0
        for part, mb in sorted(ends.items(), key=lambda item: -item[1]):
            placed[part] = max(self._y(mb) + 4, least)
            least = placed[part] + 16
        return placed

    def _x(self, at: datetime) -> float:
        share = (at - self._day.began_at) / (self._day.ended_at - self._day.began_at)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def _y(self, mb: float) -> float:
        return HEIGHT - BOTTOM - mb / self._top_mb * (HEIGHT - BOTTOM - TOP)
