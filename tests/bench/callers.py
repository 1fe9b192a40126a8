"""Many callers at once, and checks beside upkeep: what becomes of them, and how long they wait."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from threading import Event
from typing import Final
from uuid import UUID

import orjson
import requests

from cadence_service.use_cases.prune import prune
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from tests.bench.cadence_service import Service, running

CALLERS: Final = 32
AUDIENCE: Final = 25_000
ROUNDS: Final = 3
USERS: Final = 400_000
#: How many ids a check beside upkeep asks about.
SMALL: Final = 1_000
HEADERS: Final = {"Content-Type": "application/octet-stream"}


def measure_callers(database_url: str) -> None:
    """Print how many answers failed open, how often a worker was busy, and how long it took."""
    dice = random.Random(17)  # noqa: S311 - a sample, no secret
    users = [UUID(int=dice.getrandbits(128)).bytes for _ in range(USERS)]
    numbers = count()
    with running(database_url) as (service,), ThreadPoolExecutor(CALLERS) as callers:
        begun = time.perf_counter()
        audiences = [dice.sample(users, AUDIENCE) for _ in range(CALLERS * ROUNDS)]
        answers = list(
            callers.map(lambda ids: _reserve(service, f"caller {next(numbers)}", ids), audiences)
        )
        taken = time.perf_counter() - begun
    waits = sorted(wait for wait, _, _ in answers)
    busy = sum(refusals for _, refusals, _ in answers)
    failed_open = sum(is_open for _, _, is_open in answers)
    print(f"\n{CALLERS} callers reserve for {AUDIENCE:,} of {USERS:,} ids, {ROUNDS} times each")
    print(f"  {len(answers) * AUDIENCE / taken:,.0f} ids/s, {len(answers) / taken:.1f} answers/s")
    print(f"  p50 {statistics.median(waits):.2f} s, p99 {_percentile(waits, 99):.2f} s")
    print(f"  {failed_open} failed open, {busy} times busy", flush=True)
    if failed_open:
        raise RuntimeError("A check failed open by load alone.")


def measure_upkeep(database_url: str) -> None:
    """Print how long checks take while the history is pruned, imported into and replayed."""
    database = BulkDatabase(database_url, max_connections=2)
    with running(database_url) as (service,):
        works: dict[str, Callable[[], object]] = {
            "nothing else": lambda: time.sleep(3),
            "prune": lambda: prune(database, timedelta(days=90), utc_now()),
            "import of 100,000 rows": lambda: _import(service),
            "simulation": lambda: service.post("/simulate", {"rules": _RULES}),
        }
        print(f"\nFilter {SMALL:,} ids, beside")
        for name, work in works.items():
            waits = _check_beside(service, work)
            print(
                f"  {name:<24} p50 {statistics.median(waits) * 1_000:6.0f} ms"
                f"  p99 {_percentile(waits, 99) * 1_000:6.0f} ms  ({len(waits)} checks)",
                flush=True,
            )
    database.close()


_RULES: Final = [
    {
        "name": "cap",
        "appliesToLayers": [2, 3],
        "countedLayers": [2, 3],
        "windowHours": 168,
        "maxCount": 2,
    }
]


def _reserve(service: Service, key: str, ids: Sequence[bytes]) -> tuple[float, int, bool]:
    """Return how long a caller waited, how often it was sent away, and whether it failed open."""
    session, refusals, begun = requests.Session(), 0, time.perf_counter()
    while True:
        answer = session.post(
            f"{service.url}/filter-audience",
            params={"layerId": "3", "reservationKey": key},
            data=b"".join(ids),
            headers={**HEADERS, "Authorization": f"Bearer {service.token}"},
            timeout=600,
        )
        if answer.status_code != 503:
            answer.raise_for_status()
            return time.perf_counter() - begun, refusals, orjson.loads(answer.content)["failedOpen"]
        refusals += 1
        time.sleep(float(answer.headers["Retry-After"]))


def _check_beside(service: Service, work: Callable[[], object]) -> list[float]:
    dice = random.Random(5)  # noqa: S311 - a sample, no secret
    ids = b"".join(UUID(int=dice.getrandbits(128)).bytes for _ in range(SMALL))
    waits: list[float] = []
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        done.add_done_callback(lambda _: ended.set())
        while not ended.is_set() or len(waits) < 20:
            begun = time.perf_counter()
            raw = service.post("/filter-audience", ids, params={"layerId": 3}, headers=HEADERS)
            waits.append(time.perf_counter() - begun)
            if orjson.loads(raw)["failedOpen"]:
                raise RuntimeError("A check failed open beside upkeep.")
        done.result()
    return waits


def _import(service: Service) -> None:
    at = (utc_now() - timedelta(days=20)).isoformat()
    dice = random.Random(3)  # noqa: S311 - a sample, no secret
    rows = (f"{UUID(int=dice.getrandbits(128))},3,T,{at}" for _ in range(100_000))
    text = "\n".join(["user_id,layer_id,push_title,sent_at", *rows])
    service.session.post(
        f"{service.url}/restore-historical-data",
        files={"file": ("history.csv", text.encode())},
        timeout=600,
    ).raise_for_status()


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
