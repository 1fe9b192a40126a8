"""Timing ways of doing one thing, in turns, so that a noisy machine disturbs all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Way:
    """One way of doing a thing: for how many units at once, and what puts things back after it."""

    do: Callable[[], object]
    units: int
    undo: Callable[[], object] = lambda: None
    taken: list[float] = field(default_factory=list)

    def time(self) -> None:
        """Do it once, and note how long it took."""
        begun = time.perf_counter()
        self.do()
        self.taken.append(time.perf_counter() - begun)
        self.undo()

    @property
    def median(self) -> float:
        """The usual time, in seconds."""
        return statistics.median(self.taken)

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.units / self.median


def compare(title: str, ways: Mapping[str, Way], unit: str, rounds: int) -> None:
    """Print each way's median time, and how many times the first one's rate it has."""
    for _ in range(rounds):
        for way in ways.values():
            way.time()
    first = next(iter(ways.values()))
    print(f"\n{title} ({rounds} rounds in turns, medians)")
    for name, way in ways.items():
        spread = f"{min(way.taken):.3f} to {max(way.taken):.3f}"
        print(
            f"  {name:<34} {way.median:8.3f} s ({spread:<16})  {way.rate:>10,.0f} {unit}/s"
            f"  x {way.rate / first.rate:.1f}",
            flush=True,
        )
