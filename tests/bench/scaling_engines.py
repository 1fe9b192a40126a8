"""What a second engine brings, and what it costs a send that parts of the system are killed."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import requests

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.bench.fake_fcm import run_fake_fcm
from tests.bench.scaling_sizes import print_sizes
from tests.bench.send_pipeline import running_pipeline, start_send
from tests.fakes.token_server import run_token_server
from tests.journeys.stack import Stack, wait_until

REPLICAS: Final = 3
#: So many messages for each second that a stage is measured.
PACE: Final = 8_000
#: How long a killed part lies, and until when after a kill its cost is looked for.
LIES_S: Final = 3
AFTER_S: Final = 8
KILL_EVERY_S: Final = 10
#: Settled messages are counted in steps of a tenth of a second.
STEPS: Final = 10
ENDED: Final = ("completed", "failed", "cancelled")
LIMIT_S: Final = 1_200

Kill = tuple[str, Callable[[], None]]


def measure_engines(postgres: EmbeddedPostgres, folder: Path, seconds: int) -> None:
    """Print what one and two engines send a second, and what is left of it after each kill."""
    print(f"\nA push to {PACE * seconds:,} users; {REPLICAS} cadence replicas behind nginx")
    print("| engines | messages/s | a kill of | messages/s after | longest lull | well again |")
    print("|---|---|---|---|---|---|")
    with run_fake_fcm(folder / "fcm") as fcm, run_token_server(None) as google:
        for engines in (1, 2):
            place = folder / f"data-{engines}"
            with running_pipeline(postgres, place, fcm, google.url, engines, REPLICAS) as stack:
                usual = _measure(stack, PACE * seconds)
                print(f"| {engines} | {usual:,.0f} | | | | |", flush=True)
                if engines > 1:
                    _measure_kills(stack, PACE * len(_kills(stack)) * KILL_EVERY_S, usual)
                    print_sizes(stack)


def _measure(stack: Stack, users: int) -> float:
    """Return how many messages a second are settled while nothing is done to the system."""
    execution_id = start_send(stack, users)
    _await_end(stack, execution_id, users)
    steps = _count_settled(stack, execution_id)
    return steps.total() / (max(steps) - min(steps) + 1) * STEPS


def _measure_kills(stack: Stack, users: int, usual: float) -> None:
    execution_id = start_send(stack, users)
    stack.wait_for(execution_id, ["live_execution"], LIMIT_S)
    killed: list[tuple[str, float]] = []
    for part, kill in _kills(stack):
        time.sleep(KILL_EVERY_S - AFTER_S)
        killed.append((part, utc_now().timestamp()))
        kill()
        time.sleep(AFTER_S - LIES_S)
    wait_until(lambda: _is_there(stack), bool, LIMIT_S)
    outcome = _await_end(stack, execution_id, users)
    steps = _count_settled(stack, execution_id)
    for part, at in killed:
        print(f"| {len(stack.engines)} | | {part} {_describe(steps, int(at * STEPS), usual)}")
    print(outcome, flush=True)


def _describe(steps: "Counter[int]", killed_at: int, usual: float) -> str:
    """Return what a kill cost: the rate after it, the longest lull, and until when it lasted."""
    until = min(killed_at + AFTER_S * STEPS, max(steps))
    within = [steps[step] for step in range(killed_at, until)]
    if not within:
        return "| all was sent | | |"
    rate = sum(within) / len(within) * STEPS
    return f"| {rate:,.0f} | {_lull_s(within):.1f} s | {_find_recovery(steps, killed_at, usual)} |"


def _find_recovery(steps: "Counter[int]", killed_at: int, usual: float) -> str:
    """Return after how long a whole second was as good as usual, but for a fifth."""
    for step in range(killed_at + STEPS, max(steps)):
        if sum(steps[before] for before in range(step - STEPS, step)) >= 0.8 * usual:
            return f"after {(step - STEPS - killed_at) / STEPS:.1f} s"
    return "not before the end"


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


def _is_there(stack: Stack) -> bool:
    """Whether the web is back, of which the end is asked."""
    try:
        return stack.request("GET", "/health/ready").ok
    except requests.RequestException:
        return False


def _end(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)
    time.sleep(LIES_S)


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


def _await_end(stack: Stack, execution_id: str, users: int) -> str:
    """Return what became of every user at the end; RuntimeError if somebody was forgotten."""
    phase = stack.wait_for(execution_id, ENDED, LIMIT_S)["phase"]
    ((sent, others, again),) = stack.ledger(
        "SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state <> 'sent'),"
        " count(*) FILTER (WHERE was_in_doubt) FROM deliveries WHERE execution_id = %s",
        execution_id,
    )
    if (phase, sent, others) != ("completed", users, 0):
        raise RuntimeError(f"{phase}: {sent} were sent to, {others} not, of {users}")
    return f"sent to all {sent:,}, to {again:,} of them again, as they were in doubt"
