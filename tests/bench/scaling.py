"""What more replicas and engines bring, and what a kill of each costs, under load.

Cadence replicas stand behind nginx, by deploy/nginx/cadence.conf. On one machine they share its
processors with their callers: the result shows whether callers notice a kill, and for how long.
"""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from os import getloadavg
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg2
import requests

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres
from tests.bench.scaling_engines import measure_engines
from tests.bench.send import SERVER
from tests.journeys.replicas import TOKEN, Replicas, running_replicas

REPLICAS: Final = (1, 2, 3)
CALLERS: Final = 8
#: Users of a small audience, and of whom they are a sample.
AUDIENCE: Final = 100
USERS: Final = 100_000
#: How long after a kill its cost is looked for, and how long the part lies.
AFTER_S: Final = 5.0
LIES_S: Final = 3.0


@dataclass(slots=True)
class Answers:
    """When answers came, and what was wrong with those that were no good."""

    at_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def rate(self, since_s: float, until_s: float) -> float:
        """Return how many came a second."""
        return sum(since_s <= at < until_s for at in self.at_s) / (until_s - since_s)

    def longest_gap(self, since_s: float, until_s: float) -> float:
        """Return the longest time in which none came, in seconds."""
        within = [since_s, *sorted(at for at in self.at_s if since_s < at < until_s), until_s]
        return max(after - before for before, after in pairwise(within))


def measure_scaling(folder: Path, seconds: int) -> None:
    """Print what 1, 2 and 3 replicas answer, what 1 and 2 engines send, and what kills cost."""
    print(f"load {getloadavg()[0]:.0f} at the start")
    with run_postgres(folder / "postgres", SERVER) as postgres:
        _measure_replicas(postgres, folder, seconds)
        measure_engines(postgres, folder, seconds)
    print(f"\nload {getloadavg()[0]:.0f} at the end")


def _measure_replicas(postgres: EmbeddedPostgres, folder: Path, seconds: int) -> None:
    print(f"\n{CALLERS} callers, {AUDIENCE} of {USERS:,} users a request, each with a reservation")
    print("| replicas | requests/s | a kill of | requests/s after it | longest gap | errors |")
    print("|---|---|---|---|---|---|")
    for count in REPLICAS:
        place = folder / f"replicas-{count}"
        place.mkdir(mode=0o755)
        with running_replicas(postgres, place, count) as replicas, _calling(replicas) as answers:
            time.sleep(2)
            begun = time.monotonic()
            time.sleep(seconds)
            usual = answers.rate(begun, time.monotonic())
            kills = replicas.ports if count > 1 else []
            for number, port in enumerate(kills, start=1):
                _report(f"replica {number}", count, usual, answers, _kill_replica(replicas, port))
            if not kills:
                print(f"| {count} | {usual:.0f} | | | | {len(answers.wrong)} |", flush=True)
        over = _count_over_cap(replicas.database_url)
        if answers.wrong or over:
            raise RuntimeError(f"{over} over a cap; {answers.wrong[:3]}")


def _kill_replica(replicas: Replicas, port: int) -> float:
    killed_at = time.monotonic()
    replicas.kill(port)
    time.sleep(LIES_S)
    replicas.start(port)
    replicas.wait_until_well(port)
    time.sleep(max(0.0, killed_at + AFTER_S - time.monotonic()))
    return killed_at


def _report(part: str, count: int, usual: float, answers: Answers, killed_at: float) -> None:
    until = killed_at + AFTER_S
    after, gap = answers.rate(killed_at, until), answers.longest_gap(killed_at, until)
    print(
        f"| {count} | {usual:.0f} | {part} | {after:.0f} | {gap:.2f} s | {len(answers.wrong)} |",
        flush=True,
    )


@contextmanager
def _calling(replicas: Replicas) -> Iterator[Answers]:
    """Let callers ask without a pause for as long as the block lasts."""
    answers, stopping = Answers(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(_call, replicas, n, answers, stopping) for n in range(CALLERS)]
        try:
            yield answers
        finally:
            stopping.set()
    for call in calls:
        call.result()


def _call(replicas: Replicas, number: int, answers: Answers, stopping: threading.Event) -> None:
    dice = random.Random(number)  # noqa: S311 - a sample, no secret
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    at, turn = utc_now().isoformat(), 0
    while not stopping.is_set():
        turn += 1
        body = {
            "userIds": [str(UUID(int=n + 1)) for n in dice.sample(range(USERS), AUDIENCE)],
            "layerId": 2,
            "scheduledFor": at,
            "reservation": {"key": f"{number}/{turn}"},
        }
        try:
            answer = session.post(f"{replicas.url}/filter-audience", json=body, timeout=30)
            is_good = answer.status_code == 200 and not answer.json()["failedOpen"]
            said = "" if is_good else answer.text[:200]
        except requests.RequestException as error:
            is_good, said = False, repr(error)
        if is_good:
            answers.at_s.append(time.monotonic())
        else:
            answers.wrong.append(said)


def _count_over_cap(database_url: str) -> int:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM held_slots GROUP BY user_id HAVING count(*) > 3) o"
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0
