"""Three cadence replicas behind nginx: killed and stopped under load, nobody notices."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import requests

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres
from local_stack.processes import die_with_parent, stop_processes
from tests.journeys.stack import free_port, wait_until

TOKEN = "replica-admin"
DEPLOY = Path(__file__).parents[2] / "deploy" / "nginx"
NGINX_CONF = """
daemon off; pid nginx.pid; error_log error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include {conf};
}}
"""


@dataclass
class Replicas:
    url: str
    database_url: str
    folder: Path
    ports: list[int]
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, port: int) -> None:
        environment = os.environ | {
            "PUSH_CADENCE_DATABASE_URL": self.database_url,
            "CADENCE_API_TOKEN": TOKEN,
            "CADENCE_PORT": str(port),
            "CADENCE_WORKERS": "1",
        }
        with (self.folder / f"replica-{port}.log").open("ab") as log:
            self.processes[port] = subprocess.Popen(
                [Path(sys.executable).with_name("cadence-service"), "serve"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def is_well(self, url: str) -> bool:
        try:
            return requests.get(f"{url}/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def wait_until_well(self, port: int) -> None:
        wait_until(lambda: self.is_well(f"http://127.0.0.1:{port}"), bool, 30)

    def kill(self, port: int) -> None:
        os.killpg(self.processes[port].pid, signal.SIGKILL)
        self.processes[port].wait()


@pytest.fixture
def nginx() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None and os.environ.get("REQUIRE_NGINX") == "1":
        pytest.fail("nginx is missing, and REQUIRE_NGINX=1 asks for it.")
    if found is None:
        pytest.skip("not run: nginx is not installed")  # README: what `make test` needs for it
    return found


@pytest.fixture
def replicas(postgres: EmbeddedPostgres, tmp_path: Path, nginx: str) -> Iterator[Replicas]:
    name = f"cadence_replicas_{time.monotonic_ns()}"
    found = Replicas("", postgres.create_database(name), tmp_path, [free_port() for _ in range(3)])
    environment = os.environ | {
        "PUSH_CADENCE_DATABASE_URL": found.database_url,
        "CADENCE_API_TOKEN": TOKEN,
    }
    program = Path(sys.executable).with_name("cadence-service")
    subprocess.run([program, "migrate"], env=environment, check=True, capture_output=True)
    front = _start_nginx(nginx, found)
    try:
        for port in found.ports:
            found.start(port)
        for port in found.ports:
            found.wait_until_well(port)
        yield found
    finally:
        stop_processes([front, *found.processes.values()], 5)


def _start_nginx(nginx: str, replicas: Replicas) -> subprocess.Popen[bytes]:
    folder, port = replicas.folder, free_port()
    replicas.url = f"http://127.0.0.1:{port}"
    conf = (DEPLOY / "cadence.conf").read_text().replace("listen 3002", f"listen 127.0.0.1:{port}")
    (folder / "cadence.conf").write_text(conf)
    servers = [f"server 127.0.0.1:{p} max_fails=1 fail_timeout=1s;\n" for p in replicas.ports]
    (folder / "cadence-replicas.conf").write_text("".join(servers))
    (folder / "nginx.conf").write_text(NGINX_CONF.format(conf=folder / "cadence.conf"))
    arguments = [nginx, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    checked = subprocess.run([*arguments, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    return subprocess.Popen(arguments, preexec_fn=die_with_parent(signal.SIGTERM))


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
