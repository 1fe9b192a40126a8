"""What a second engine brings, and what it costs a send that parts of the system are killed."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.bench.fake_fcm import run_fake_fcm
from tests.bench.scaling_sizes import print_sizes
from tests.bench.send_pipeline import running_pipeline, start_send
from tests.fakes.token_server import run_token_server
from tests.journeys.stack import Stack

REPLICAS: Final = 3
#: So many messages for each second that a stage is measured.
PACE: Final = 8_000
#: How long a killed part lies, and until when after a kill its cost is looked for.
LIES_S: Final = 3.0
AFTER_S: Final = 8.0
#: Settled messages are counted in steps of a tenth of a second.
STEPS: Final = 10
ENDED: Final = ("completed", "failed", "cancelled")
LIMIT_S: Final = 1_200

Kill = tuple[str, Callable[[], None]]


def measure_engines(postgres: EmbeddedPostgres, folder: Path, seconds: int) -> None:
    """Print what one and two engines send a second, and what is left of it after each kill."""
    print(f"\nA push to {PACE * seconds:,} users; {REPLICAS} cadence replicas behind nginx")
    print("| engines | messages/s | a kill of | messages/s in the 8 s after | longest lull |")
    print("|---|---|---|---|---|")
    with run_fake_fcm(folder / "fcm") as fcm, run_token_server(None) as google:
        for engines in (1, 2):
            place = folder / f"data-{engines}"
            with running_pipeline(postgres, place, fcm, google.url, engines, REPLICAS) as stack:
                _measure(stack, PACE * seconds, [])
                if engines > 1:
                    _measure(stack, PACE * seconds, _kills(stack))
                    print_sizes(stack)


def _measure(stack: Stack, users: int, kills: Sequence[Kill]) -> None:
    execution_id = start_send(stack, users)
    stack.wait_for(execution_id, ["live_execution"], LIMIT_S)
    killed: list[tuple[str, float]] = []
    for part, kill in kills:
        time.sleep(2)
        killed.append((part, utc_now().timestamp()))
        kill()
        time.sleep(AFTER_S - LIES_S)
    phase = stack.wait_for(execution_id, ENDED, LIMIT_S)["phase"]
    _print_rates(stack, execution_id, killed)
    _print_outcome(stack, execution_id, users, phase)


def _kills(stack: Stack) -> list[Kill]:
    """Return what is killed, in turn; each is started again after a while."""

    def engine(number: int) -> None:
        _end(stack.engines[number].pid)
        stack.engines[number] = stack.spawn_engine(number)

    def cadence() -> None:
        _end(stack.services[0].pid)
        stack.services[0] = stack.spawn_cadence(0)

    def web() -> None:
        _end(stack.services[-1].pid)
        stack.services[-1] = stack.spawn("push-blaster", "serve")

    return [
        ("engine 1", lambda: engine(0)),
        ("engine 2", lambda: engine(1)),
        ("cadence replica 1", cadence),
        ("web", web),
    ]


def _end(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)
    time.sleep(LIES_S)


def _print_rates(stack: Stack, execution_id: str, killed: Sequence[tuple[str, float]]) -> None:
    steps = _count_settled(stack, execution_id)
    begun, ended = min(steps), max(steps)
    usual = sum(steps.values()) / (ended - begun + 1) * STEPS
    engines = len(stack.engines)
    if not killed:
        print(f"| {engines} | {usual:,.0f} | | | |", flush=True)
    for part, at in killed:
        first, after = int(at * STEPS), int(AFTER_S * STEPS)
        within = [steps[step] for step in range(first, min(first + after, ended))]
        if within:
            rate = sum(within) / len(within) * STEPS
            print(f"| {engines} | {usual:,.0f} | {part} | {rate:,.0f} | {_lull_s(within):.1f} s |")


def _count_settled(stack: Stack, execution_id: str) -> "Counter[int]":
    """Return how many messages were settled in each step of time."""
    rows = stack.ledger(
        "SELECT floor(extract(epoch FROM settled_at) * %s)::bigint, count(*) FROM deliveries"
        " WHERE execution_id = %s AND settled_at IS NOT NULL GROUP BY 1",
        STEPS,
        execution_id,
    )
    return Counter(dict(rows))


def _lull_s(counts: Sequence[int]) -> float:
    """Return for how long nothing was settled at the most."""
    lulls = [len(list(run)) for is_lull, run in groupby(counts, lambda n: n == 0) if is_lull]
    return max(lulls, default=0) / STEPS


def _print_outcome(stack: Stack, execution_id: str, users: int, phase: str) -> None:
    """Print what became of every user; RuntimeError if somebody was forgotten."""
    states = Counter(
        dict(
            stack.ledger(
                "SELECT state, count(*) FROM deliveries WHERE execution_id = %s GROUP BY state",
                execution_id,
            )
        )
    )
    (in_doubt,) = stack.ledger(
        "SELECT count(*) FROM deliveries WHERE execution_id = %s AND was_in_doubt", execution_id
    )
    told = ", ".join(f"{state} {count:,}" for state, count in states.most_common())
    print(f"  {phase}: {told}; in doubt at some time and sent again {in_doubt[0]:,}", flush=True)
    if phase != "completed" or states.total() != users or states["sent"] != users:
        raise RuntimeError(f"Not everybody was sent to: {states}")
