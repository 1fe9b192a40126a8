"""The cadence service, run as it is run, and called as its clients call it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from local_stack.processes import stop_processes
from tests.journeys.stack import free_port


class Service:
    """The cadence service as its clients see it: over a socket."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, body: object, **options: Any) -> bytes:
        """Return the answer's body; a body that is no bytes is sent as JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | options.pop("headers", {})
        response = self.session.post(
            f"{self.url}{path}", data=body, headers=headers, timeout=600, **options
        )
        if response.status_code != 200:
            raise RuntimeError(response.text[:1_000])
        return response.content


@contextmanager
def running(database_url: str, replicas: int = 1) -> Iterator[list[Service]]:
    """Run replicas of the service: gunicorn, in processes of their own."""
    token = uuid4().hex
    environment = os.environ | {  # noqa: TID251 - processes of their own
        "PUSH_CADENCE_DATABASE_URL": database_url,
        "CADENCE_API_TOKEN": token,
    }
    program = Path(sys.executable).with_name("cadence-service")
    ports = [free_port() for _ in range(replicas)]
    processes = [
        subprocess.Popen(
            [program, "serve"],
            env=environment | {"CADENCE_PORT": str(port)},
            stderr=subprocess.DEVNULL,  # a line a request
        )
        for port in ports
    ]
    services = [Service(f"http://127.0.0.1:{port}", token) for port in ports]
    try:
        for service in services:
            _wait_until_there(service)
        yield services
    finally:
        stop_processes(processes, 10)


def _wait_until_there(service: Service) -> None:
    for _ in range(100):
        try:
            service.session.get(f"{service.url}/health", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("The service did not come up.")
