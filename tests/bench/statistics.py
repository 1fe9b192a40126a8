"""Ten thousand simulated experiments of each kind: false calls, coverage, power."""

from collections.abc import Iterator
from pathlib import Path

from tests.push_blaster.domain.engagement.simulations import (
    MANY_ALIKE,
    MANY_APART,
    SENDS_ALIKE,
    SENDS_APART,
    find_calls,
    look_at_one_send,
)

_LOOKS_A_SEND = 4


def measure_statistics(folder: Path, runs: int) -> None:
    """Print the figures of each kind; fail if more than 5 % go wrong."""
    print(f"{runs:,} experiments each; 100 looks at one send, 120 looks at thirty sends")
    wrong = [*_try_one_send(runs), *_try_many_sends(runs)]
    if max(wrong) > 0.05:
        raise SystemExit(f"{max(wrong):.1%} of one kind went wrong; at most 5 % may.")


def _try_one_send(runs: int) -> Iterator[float]:
    """Yield the shares of false calls, and of true ratios that were missed at any look."""
    for send in SENDS_ALIKE:
        outcome = look_at_one_send(send, runs, 100, seed=11)
        print(f"{send.name}: called {outcome.share_called:.1%}", flush=True)
        yield outcome.share_called
    for send in SENDS_APART:
        outcome = look_at_one_send(send, runs, 100, seed=12)
        found, missed = outcome.share_called, outcome.share_missed
        print(f"{send.name}: called {found:.1%}, ratio missed {missed:.1%}", flush=True)
        yield missed


def _try_many_sends(runs: int) -> Iterator[float]:
    """Yield the shares of false calls of texts that are sent thirty times."""
    for plan in MANY_ALIKE:
        share = float(find_calls(plan, runs, _LOOKS_A_SEND, seed=13).mean())
        print(f"{plan.name}: called {share:.1%}", flush=True)
        yield share
    for plan in MANY_APART:
        share = float(find_calls(plan, runs, _LOOKS_A_SEND, seed=14).mean())
        print(f"{plan.name}: called {share:.1%}", flush=True)
