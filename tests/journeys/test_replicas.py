"""Three cadence replicas behind nginx: killed and stopped under load, nobody notices."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import requests

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.replicas import TOKEN, Replicas, running_replicas
from tests.journeys.stack import wait_until


@pytest.fixture
def replicas(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Replicas]:
    with running_replicas(postgres, tmp_path, 3) as found:
        yield found


def test_replicas_come_and_go_under_load(replicas: Replicas) -> None:
    now = utc_now().isoformat()
    users = [str(UUID(int=random.Random(5).getrandbits(128) ^ n)) for n in range(600)]  # noqa: S311
    stop = threading.Event()
    asked: Counter[str] = Counter()
    wrong: list[str] = []

    def call(number: int) -> None:
        dice = random.Random(number)  # noqa: S311 - a sample, no secret
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        while not stop.is_set():
            body = {
                "userIds": dice.sample(users, 100),
                "layerId": 2,
                "scheduledFor": now,
                "reservation": {"key": f"{number}/{asked.total()}/{dice.random()}"},
            }
            response = session.post(f"{replicas.url}/api/filter-audience", json=body, timeout=30)
            asked["ok" if response.status_code == 200 else "refused"] += 1
            if response.status_code != 200 or response.json()["failedOpen"]:
                wrong.append(response.text[:300])

    first, second, third = replicas.ports
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call, number) for number in range(6)]
        try:
            _let_pass(asked, 40)
            replicas.kill(first)
            _let_pass(asked, 40)
            replicas.processes[second].terminate()
            assert replicas.processes[second].wait(40) == 0, "it finished what it had begun"
            _let_pass(asked, 40)
            for port in (first, second):
                replicas.start(port)
                replicas.wait_until_well(port)
            replicas.kill(third)
            _let_pass(asked, 40)
        finally:
            stop.set()
        for done in calls:
            done.result()

    assert wrong == []
    assert max(_held(replicas.database_url).values()) == 3, "full, and never more than that"


def _let_pass(asked: "Counter[str]", more: int) -> None:
    enough = asked.total() + more
    wait_until(asked.total, lambda total: total >= enough, 60)


def _held(database_url: str) -> dict[Any, int]:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_id, count(*) FROM held_slots GROUP BY user_id")
        return dict(cursor.fetchall())
