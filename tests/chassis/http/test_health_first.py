"""Health is answered while every thread of the server hangs."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.journeys.stack import free_port, wait_until

#: More than the threads of one worker.
HANGING = 12


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    arguments = [
        *("tests.chassis.http.slow_app:app", f"--bind=127.0.0.1:{port}", "--workers=1"),
        "--config=python:chassis.http.gunicorn_settings",
    ]
    with (tmp_path / "gunicorn.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments],
            stdout=log,
            stderr=log,
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(address), bool, 20)
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.mark.processes
def test_health_is_answered_while_every_thread_hangs(url: str) -> None:
    with ThreadPoolExecutor(HANGING) as pool, requests.Session() as kept:
        kept.get(f"{url}/health", timeout=5)
        hanging = [pool.submit(requests.get, f"{url}/slow", timeout=60) for _ in range(HANGING)]
        time.sleep(1)
        begun = time.monotonic()
        paths = ("/health", "/health/ready", "/api/health", "/metrics")
        answers = [requests.get(f"{url}{path}", timeout=10).text for path in paths]
        answers.append(kept.get(f"{url}/health/live", timeout=10).text)
        took = time.monotonic() - begun

    assert took < 2
    assert answers == [*paths, "/health/live"]
    assert [one.result().text for one in hanging] == ["/slow"] * HANGING


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2).ok
    except requests.RequestException:
        return False
