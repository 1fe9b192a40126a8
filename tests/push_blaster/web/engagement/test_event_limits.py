"""What a stranger may send: so much from an address, and no large body."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.http.serving_in_thread import ServerInThread
from chassis.postgres import Database
from chassis.rows import fetch_value
from push_blaster.app import create_app
from tests.journeys.stack import free_port
from tests.push_blaster.engagement import SentPush
from tests.push_blaster.settings import settings_for

PER_MINUTE = 50


@pytest.fixture
def limited(push_url: str, tmp_path: Path) -> Flask:
    """The app behind one proxy, with a small limit."""
    settings = settings_for(push_url, tmp_path)
    return create_app(replace(settings, events_per_minute=PER_MINUTE, trusted_proxies=1))


def report(client: FlaskClient, address: str, *events: Any) -> tuple[int, str | None]:
    answer = client.post(
        "/api/events", json={"events": list(events)}, headers={"X-Forwarded-For": address}
    )
    return answer.status_code, answer.headers.get("Retry-After")


def test_an_address_may_report_so_many_events_a_minute_and_others_are_free(
    limited: Flask, database: Database
) -> None:
    client, push = limited.test_client(), SentPush().insert(database)
    event = push.event(database)

    first = [report(client, "192.0.2.1", *([event] * 10)) for _ in range(5)]
    over, retry = report(client, "192.0.2.1", event)
    forged = [
        report(client, "192.0.2.2", {"receipt": str(n), "event": "opened"}) for n in range(60)
    ]

    assert first == [(202, None)] * 5
    assert over == 429
    assert 1 <= int(retry or 0) <= 2
    assert [status for status, _ in forged] == [202] * PER_MINUTE + [429] * 10
    assert report(client, "192.0.2.3", event) == (202, None)
    with database.transaction() as connection:
        assert fetch_value(connection, "SELECT count(*) FROM event_inbox") == 6


@pytest.mark.slow
def test_a_network_of_ipv6_is_one_address_and_a_large_report_is_refused_as_a_whole(
    limited: Flask, database: Database
) -> None:
    client, event = limited.test_client(), SentPush().insert(database).event(database)

    answers = [
        report(client, f"2001:db8::{n}", *([event] * size))[0]
        for n, size in enumerate((30, 30, 10, 10))
    ]

    assert answers == [202, 429, 202, 429]
    assert report(client, "2001:db8:0:1::1", event)[0] == 202


def test_ten_megabytes_are_refused_before_they_have_come(app: Flask) -> None:
    server = ServerInThread(app, "127.0.0.1", free_port())
    head = (
        *("POST /api/events HTTP/1.1", "Host: x", "Content-Type: application/json"),
        *("Content-Length: 10485760", "", ""),
    )
    try:
        with socket.create_connection(("127.0.0.1", server.port), 20) as client:
            client.sendall("\r\n".join(head).encode())
            answer = client.recv(10_000)
    finally:
        server.stop()

    assert answer.split(b" ")[1] == b"413"
