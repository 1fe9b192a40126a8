"""Timing ways of doing one thing, in turns, so that a noisy machine disturbs all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def compare(
    title: str, ways: Mapping[str, Callable[[], object]], per: int, unit: str, rounds: int
) -> None:
    """Print each way's median time for `per` units, and how many times the first one's speed."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    first = next(iter(medians.values()))
    print(f"\n{title} ({rounds} rounds in turns, medians)")
    for name, median in medians.items():
        spread = f"{min(taken[name]):.3f} to {max(taken[name]):.3f}"
        print(
            f"  {name:<34} {median:8.3f} s ({spread:<16})  {per / median:>10,.0f} {unit}/s"
            f"  x {first / median:.1f}",
            flush=True,
        )
