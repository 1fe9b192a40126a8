"""Clients that are slow on purpose: people still stop, sign in and see the health at once."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import VIEWER, Stack, a_journey_automation, running_stack, wait_until

#: How soon a stop takes effect.
STOP_S = 1.0
#: For all others, two processors that many share get some more.
AT_ONCE_S = 2.5
STOP = "/api/automation/emergency-stop"
JSON_OF_50_MB = b"Content-Type: application/json\r\nContent-Length: 52428800\r\n\r\n{"
#: What clients send first; after that they send a byte now and then.
SLOW = {
    "heads of strangers": b"GET /api/executions HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "forms of strangers": b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken=",
    "padded lengths of strangers": b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: "
    + b"0" * 20
    + b"4000\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\ntoken=",
    "chunks of strangers": b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n",
    "chunks of a viewer to a stop": b"POST /api/executions/%s/stop HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + VIEWER.encode() + b"\r\n\r\n",
    "large bodies of strangers": b"POST /api/devices HTTP/1.1\r\nHost: x\r\n" + JSON_OF_50_MB,
    "large bodies of a viewer": b"POST /api/query-audience HTTP/1.1\r\nHost: x\r\n"
    b"Authorization: Bearer " + VIEWER.encode() + b"\r\n" + JSON_OF_50_MB,
    "streams of a viewer": b"GET /api/executions/%s/log HTTP/1.1\r\nHost: x\r\n"
    b"Accept: text/event-stream\r\nAuthorization: Bearer " + VIEWER.encode() + b"\r\n\r\n",
}


@pytest.fixture(scope="module")
def running(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("waiting")
    with running_stack(postgres, folder, {"PUSH_WEB_WORKERS": "2"}) as stack:
        yield stack


@contextmanager
def crowd(stack: Stack, first: bytes, size: int = 200) -> Iterator[list[socket.socket]]:
    """Let so many clients begin a request, and send a byte now and then until the block ends."""
    place = urlsplit(stack.push_url)
    clients: list[socket.socket] = []
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(1):
            for client in clients:
                with suppress(OSError):
                    client.send(b"x")

    for _ in range(size):
        client = socket.create_connection((place.hostname, place.port), 10)
        client.sendall(first)
        clients.append(client)
    sending = threading.Thread(target=trickle)
    sending.start()
    time.sleep(2)  # so that the service has taken all of them
    try:
        yield clients
    finally:
        over.set()
        sending.join()
        for client in clients:
            client.close()


@pytest.mark.parametrize("kind", SLOW)
def test_beside_200_slow_clients_a_stop_health_and_signing_in_work_at_once(
    running: Stack, kind: str
) -> None:
    name = kind.replace(" ", "-")
    running.ask(
        "POST", "/api/automation/recipes", a_journey_automation(name, parameters={"sleep": 120})
    )
    execution = running.ask("POST", "/api/executions", {"automationId": name})["id"]
    first = SLOW[kind].replace(b"%s", execution.encode())

    with crowd(running, first):
        seconds = {}
        for path, data in (
            ("/api/health", None),
            ("/health/live", None),
            ("/sign-in", None),
            ("/sign-in", {"token": "a wrong one, and long enough"}),
            (STOP, {}),
        ):
            begun = time.monotonic()
            answer = (
                requests.get(running.push_url + path, timeout=30)
                if data is None
                else running.request("POST", path)
                if not data
                else requests.post(running.push_url + path, data=data, timeout=30)
            )
            seconds[f"{answer.status_code} {path}"] = time.monotonic() - begun

    assert running.execution(execution)["phase"] == "cancelled"
    assert seconds[f"200 {STOP}"] < STOP_S, seconds
    assert max(seconds.values()) < AT_ONCE_S, seconds


def test_a_caller_may_follow_some_streams_and_is_told_of_the_limit(running: Stack) -> None:
    running.ask(
        "POST",
        "/api/automation/recipes",
        a_journey_automation("followed", parameters={"sleep": 120}),
    )
    execution = running.ask("POST", "/api/executions", {"automationId": "followed"})["id"]
    first = SLOW["streams of a viewer"].replace(b"%s", execution.encode())
    time.sleep(5)  # until the streams of the test before have seen that their readers left

    with crowd(running, first, 40) as clients:
        answers = [client.recv(4_000).decode() for client in clients]

    refused = [answer for answer in answers if answer.startswith("HTTP/1.1 429 ")]
    assert 40 - len(refused) <= 16  # eight in each of two workers
    assert sum(answer.startswith("HTTP/1.1 200 ") for answer in answers) >= 8, sorted(answers)
    assert all("\r\nRetry-After: 10\r\n" in answer for answer in refused)
    assert "You follow 8 streams already" in refused[0]


def test_a_client_that_does_not_finish_its_request_is_hung_up_on(running: Stack) -> None:
    with crowd(running, SLOW["heads of strangers"], 3) as clients:
        clients[0].settimeout(30)
        answer = clients[0].recv(4_000)

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_web_that_ends_answers_what_waits_and_streams_come_back(running: Stack) -> None:
    running.ask(
        "POST", "/api/automation/recipes", a_journey_automation("back", parameters={"sleep": 120})
    )
    execution = running.ask("POST", "/api/executions", {"automationId": "back"})["id"]
    wait_until(lambda: len(entries(running, execution)), lambda n: n > 1, 30)
    first = SLOW["streams of a viewer"].replace(b"%s", execution.encode())
    web = running.services[-1]

    with ThreadPoolExecutor(1) as pool, crowd(running, first, 3) as clients:
        trial = {"scriptId": "users", "parameters": {"sleep": 120}}
        waiting = pool.submit(running.request, "POST", "/api/scripts", trial)
        wait_until(lambda: runs(running), lambda found: len(found) > 1, 30)
        begun = time.monotonic()
        web.terminate()
        streams = [client.makefile("rb").read().decode() for client in clients]
        web.wait(30)
        took_s = time.monotonic() - begun
    running.services[-1] = running.spawn("push-blaster", "serve")
    wait_until(lambda: is_alive(running), bool, 30)
    seen = re.findall(r"^id: (\d+)", streams[0], re.MULTILINE)
    running.request("POST", f"/api/executions/{execution}/stop")
    rest = running.request(
        "GET",
        f"/api/executions/{execution}/log",
        **{"Accept": "text/event-stream", "Last-Event-ID": seen[-1]},
    ).text

    assert took_s < 10, "a second of which its connections linger"
    assert waiting.result().status_code == 202, waiting.result().text
    assert all("event: restart\nretry: 1000\n" in stream for stream in streams)
    followed = [*seen, *re.findall(r"^id: (\d+)", rest, re.MULTILINE)]
    assert followed == [str(entry["id"]) for entry in entries(running, execution)]
    assert "event: end" in rest


def entries(stack: Stack, execution: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = stack.ask("GET", f"/api/executions/{execution}/log")["entries"]
    return found


def runs(stack: Stack) -> list[dict[str, object]]:
    path = "/api/scripts/users/runs"
    found: list[dict[str, object]] = stack.ask("GET", path)["runs"]
    return [run for run in found if run["state"] == "running"]


def is_alive(stack: Stack) -> bool:
    with suppress(requests.RequestException):
        return requests.get(f"{stack.push_url}/health/live", timeout=5).ok
    return False
