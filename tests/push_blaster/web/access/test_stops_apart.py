"""A stop has connections of its own, and no check of an unknown token keeps its threads."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from chassis.http.request_classes import CAPACITIES, STOP_CONNECTIONS, RequestClass
from chassis.http.serving_in_thread import ServerInThread
from chassis.postgres import Database
from push_blaster.app import create_app
from push_blaster.wiring import connect_adapters
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.execution_support import CONTROL, DAILY, phase, started
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

EVERYTHING = "/api/automation/emergency-stop"
ONE = "/api/executions/an-execution/stop"
#: Each way to stop: its path and its body.
WAYS = {
    "stop": ("/api/executions/{}/stop", {}),
    "cancel": ("/api/executions/{}/cancel", {}),
    "cancel of all pending": (CONTROL, {"automationId": "news", "action": "cancel"}),
    "pause": (CONTROL, {"automationId": "news", "action": "pause"}),
    "emergency stop": (CONTROL, {"automationId": "news", "action": "emergency_stop"}),
    "emergency stop of everything": (EVERYTHING, {}),
}


class Web(NamedTuple):
    """An app that has two connections for all but stops."""

    app: Flask
    database: Database


@pytest.fixture(scope="module")
def small_web(push_url: str, data_link: Path) -> Iterator[Web]:
    settings = replace(settings_for(push_url, data_link), database_pool_size=2)
    adapters = connect_adapters(settings)
    yield Web(create_app(settings, adapters), adapters.database)
    adapters.database.close()


@contextmanager
def all_in_use(database: Database) -> Iterator[None]:
    """Lend every connection for usual requests, as hanging statements do."""
    with ExitStack() as lent:
        for _ in range(2):
            lent.enter_context(database.transaction())
        yield


@contextmanager
def locked(database: Database, tables: str) -> Iterator[None]:
    connection = database.connect()
    try:
        connection.cursor().execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        connection.rollback()
        connection.close()


@pytest.mark.slow
def test_each_stop_works_while_every_usual_connection_is_in_use(
    small_web: Web, client: FlaskClient
) -> None:
    made = client.post("/api/tokens", json={"name": "alice", "role": "operator"}).get_json()
    caller = small_web.app.test_client()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    create(client, schedule=DAILY)
    phases = {}

    for way, (path, body) in WAYS.items():
        client.post(CONTROL, json={"automationId": "news", "action": "resume"})
        execution_id = started(client)
        with all_in_use(small_web.database):
            answer = caller.post(path.format(execution_id), json=body, headers=bearer)
        assert answer.status_code == 200, (way, answer.text)
        phases[way] = phase(client, execution_id)

    assert phases == dict.fromkeys(WAYS, "cancelled")


def test_a_page_stops_everything_while_every_usual_connection_is_in_use(
    small_web: Web, client: FlaskClient
) -> None:
    create(client)
    execution_id = started(client)
    browser = Visitor(small_web.app, "operator")
    token = browser.csrf_token()
    small_web.app.secret_key = None  # as in a worker that has just started

    with all_in_use(small_web.database):
        asked = browser.client.get("/stop-everything")
        answer = browser.post_bare("/stop-everything", word="STOP ALL", csrf_token=token)

    assert (asked.status_code, answer.status_code) == (200, 303)
    assert phase(client, execution_id) == "cancelled"


def test_stops_leave_the_usual_connections_alone(small_web: Web) -> None:
    with ExitStack() as lent:
        for _ in range(STOP_CONNECTIONS):
            context = small_web.app.test_request_context(ONE, method="POST")
            with context:
                lent.enter_context(small_web.database.transaction())

        with small_web.database.transaction() as connection:
            assert connection.get_backend_pid()


@contextmanager
def strangers(
    port: int, path: str, head: str = "Authorization: Bearer {} that nobody knows"
) -> Iterator[None]:
    """Ask for as many stops as may wait, with tokens or cookies that nobody knows."""
    capacity = CAPACITIES[RequestClass.STOP]
    with ExitStack() as clients:
        for number in range(capacity.threads + capacity.waiting):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            client.sendall(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                f"{head.format(number)}\r\n\r\n".encode()
            )
        time.sleep(3)  # for longer than a stop waits for the check of a token
        yield


@pytest.mark.parametrize("path", [EVERYTHING, ONE])
def test_strangers_cannot_keep_stops_while_tokens_cannot_be_read(
    small_web: Web, client: FlaskClient, path: str
) -> None:
    create(client)
    execution_id = started(client)
    server = ServerInThread(small_web.app, "127.0.0.1", 0)
    try:
        with (
            locked(small_web.database, "tokens"),
            strangers(server.port, path),
        ):
            url = f"http://127.0.0.1:{server.port}{EVERYTHING}"
            answer = requests.post(url, headers={"Authorization": "Bearer admin"}, timeout=20)
    finally:
        server.stop()

    assert answer.status_code == 200, answer.text
    assert phase(client, execution_id) == "cancelled"


def test_strangers_cannot_keep_stops_while_the_key_of_cookies_cannot_be_read(
    small_web: Web,
) -> None:
    small_web.app.secret_key = None  # as in a worker that has just started
    server = ServerInThread(small_web.app, "127.0.0.1", 0)
    try:
        with (
            locked(small_web.database, "stored_secrets"),
            strangers(server.port, EVERYTHING, "Cookie: push_session={}"),
        ):
            url = f"http://127.0.0.1:{server.port}{EVERYTHING}"
            answer = requests.post(url, headers={"Authorization": "Bearer viewer"}, timeout=20)
    finally:
        server.stop()

    assert answer.status_code == 403, answer.text


def test_health_knows_tokens_of_the_environment_whatever_strangers_ask(
    small_web: Web, client: FlaskClient
) -> None:
    server = ServerInThread(small_web.app, "127.0.0.1", 0)
    try:
        with locked(small_web.database, "tokens"), ExitStack() as clients:
            for _ in range(12):
                one = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ?\r\n\r\n")
            time.sleep(1)
            url = f"http://127.0.0.1:{server.port}/health"
            answer = requests.get(url, headers={"Authorization": "Bearer viewer"}, timeout=20)
    finally:
        server.stop()

    assert "dependencies" in answer.json(), answer.text
