"""Cadence replicas behind nginx, over a database of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from local_stack.embedded_postgres import EmbeddedPostgres
from local_stack.processes import die_with_parent, stop_processes
from tests.databases import make_cadence_database
from tests.journeys.nginx import running_nginx
from tests.journeys.stack import free_port, wait_until

TOKEN = "replica-admin-token"


@dataclass
class Replicas:
    """Replicas by their port; `url` is that of nginx before them."""

    url: str
    database_url: str
    folder: Path
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def ports(self) -> list[int]:
        return list(self.processes)

    def start(self, port: int) -> None:
        settings = {"CADENCE_PORT": str(port), "CADENCE_WORKERS": "1"}
        with (self.folder / f"replica-{port}.log").open("ab") as log:
            self.processes[port] = subprocess.Popen(
                [_program(), "serve"],
                env=_environment(self.database_url) | settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def wait_until_well(self, port: int) -> None:
        wait_until(lambda: _is_well(f"http://127.0.0.1:{port}"), bool, 30)

    def kill(self, port: int) -> None:
        os.killpg(self.processes[port].pid, signal.SIGKILL)
        self.processes[port].wait()


@contextmanager
def running_replicas(postgres: EmbeddedPostgres, folder: Path, count: int) -> Iterator[Replicas]:
    """Start so many replicas over a database of their own, and nginx before them."""
    url = make_cadence_database(postgres, f"cadence_replicas_{time.monotonic_ns()}")
    ports = [free_port() for _ in range(count)]
    front = free_port()
    with running_nginx(folder, ports, front):
        replicas = Replicas(f"http://127.0.0.1:{front}", url, folder)
        try:
            for port in ports:
                replicas.start(port)
            for port in ports:
                replicas.wait_until_well(port)
            yield replicas
        finally:
            stop_processes(list(replicas.processes.values()), 5)


def _program() -> Path:
    return Path(sys.executable).with_name("cadence-service")


def _environment(database_url: str) -> dict[str, str]:
    return os.environ | {"PUSH_CADENCE_DATABASE_URL": database_url, "CADENCE_API_TOKEN": TOKEN}


def _is_well(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False
