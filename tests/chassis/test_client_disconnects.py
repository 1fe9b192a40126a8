"""A client that hangs up: what works for it ends, and its connection serves the next one."""

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask, Response, jsonify

from chassis.client_disconnects import DisconnectWatch
from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.serving import serving

Served = tuple[str, BulkDatabase | Database, list[str]]


@pytest.fixture(params=[Database, BulkDatabase])
def served(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> Iterator[Served]:
    """An app with one connection, whose only route keeps the database busy for a minute."""
    database = request.param(postgres.url("postgres"), max_connections=1)
    app = Flask(__name__)
    ended: list[str] = []

    @app.get("/<float:seconds>")
    def sleep(seconds: float) -> Response:
        try:
            with database.transaction() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", (seconds,))
        except Exception as error:
            ended.append(type(error).__name__)
            raise
        return jsonify(slept=seconds)

    @app.get("/often/<int:times>")
    def sleep_often(times: int) -> Response:
        """Let a request do much between its statements, which are short themselves."""
        try:
            with database.transaction() as connection, connection.cursor() as cursor:
                for _ in range(times):
                    time.sleep(0.2)
                    cursor.execute("SELECT pg_sleep(0.1)")
        except Exception as error:
            ended.append(type(error).__name__)
            raise
        return jsonify(slept=times)

    app.wsgi_app = DisconnectWatch(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way
    with serving(app) as url:
        yield url, database, ended
    database.close()


def call(url: str, seconds: float | str) -> socket.socket:
    parts = urlsplit(url)
    client = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)
    client.sendall(f"GET /{seconds} HTTP/1.0\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("work", [60.0, "often/200"], ids=["one statement", "many statements"])
def test_a_statement_ends_when_its_client_hangs_up(served: Served, work: float | str) -> None:
    url, database, ended = served

    client = call(url, work)
    time.sleep(0.5)
    begun = time.monotonic()
    client.close()
    while not ended and time.monotonic() - begun < 20:
        time.sleep(0.05)

    assert ended == ["ClientGoneError"]
    with database.transaction() as connection:
        connection.cursor().execute("SELECT 1")


def test_a_client_that_waits_gets_its_answer(served: Served) -> None:
    url, _, ended = served

    with call(url, 1.0) as client:
        answer = b"".join(iter(lambda: client.recv(4096), b""))

    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"slept": 1.0}
    assert ended == []
