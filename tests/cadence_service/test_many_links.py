"""Deep links from 20,000 logs: in seconds, and no longer than their client waits."""

import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from cadence_service.domain.log_match import LinkLog, LinksByTitle
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import execute, fetch_all, fetch_value
from tests.cadence_service.replicas import call, running_replicas
from tests.cadence_service.settings import CADENCE_TOKEN

START = utc_now().replace(microsecond=0) - timedelta(days=28)
#: Far enough apart that no log is near two instants.
STEP = timedelta(minutes=20)
SENDS = 2_000
LOGS = 20_000


@pytest.fixture
def url(cadence_database: BulkDatabase) -> Iterator[str]:
    with running_replicas(cadence_database.url, 1) as (url,):
        yield url


def record_sends(url: str) -> None:
    """Record one send at each instant, of four titles in turn."""
    rows = [
        f"{UUID(int=n + 1)},3,Push {n % 4},{(START + n * STEP).isoformat()}" for n in range(SENDS)
    ]
    text = "\n".join(["user_id,layer_id,push_title,sent_at", *rows])
    made = call(
        "POST", f"{url}/restore-historical-data", files={"file": ("history.csv", text.encode())}
    )
    assert made.json()["details"]["insertedRows"] == SENDS, made.text


def make_logs(count: int) -> list[dict[str, Any]]:
    """Return logs for one send after the other, again and again; their links differ."""
    return [
        {
            "status": "completed",
            "title": f"Push {n % 4}",
            "timestamp": (START + n % SENDS * STEP).isoformat(),
            "deepLink": f"https://garden.example/{n}",
        }
        for n in range(count)
    ]


def test_each_send_gets_the_link_of_its_first_log_in_seconds(
    url: str, cadence_database: BulkDatabase
) -> None:
    record_sends(url)

    begun = time.monotonic()
    answer = call("POST", f"{url}/update-deep-links", json={"trackResultsLogs": make_logs(LOGS)})
    took_s = time.monotonic() - begun

    assert answer.json()["details"]["updatedCount"] == SENDS, answer.text
    assert took_s < 15
    with cadence_database.transaction() as connection:
        select = "SELECT user_id, deep_link FROM notification_history"
        found: dict[UUID, str] = dict(fetch_all(connection, select))
    assert found == {UUID(int=n + 1): f"https://garden.example/{n}" for n in range(SENDS)}


def test_the_work_ends_with_its_client_and_what_is_done_stays(
    url: str, cadence_database: BulkDatabase
) -> None:
    record_sends(url)
    working = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'"
    )
    with cadence_database.transaction() as connection:
        execute(connection, "LOCK TABLE user_notifications_strays IN ACCESS EXCLUSIVE MODE")
        with _asking(url):
            _wait_until_waiting(connection, working, 1)
        _wait_until_waiting(connection, working, 0)

    with cadence_database.transaction() as connection:
        filled = "SELECT count(*) FROM notification_history WHERE deep_link IS NOT NULL"
        assert 0 < fetch_value(connection, filled) <= SENDS
    again = call("POST", f"{url}/update-deep-links", json={"trackResultsLogs": make_logs(SENDS)})
    assert again.status_code == 200


def _asking(url: str) -> socket.socket:
    """Send the request, and return the socket that waits for its answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = orjson.dumps({"trackResultsLogs": make_logs(SENDS)})
    client = socket.create_connection((host, int(port)))
    client.sendall(
        b"POST /update-deep-links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        + f"Authorization: Bearer {CADENCE_TOKEN}\r\n".encode()
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return client


def _wait_until_waiting(connection: Any, working: str, expected: int) -> None:
    give_up_at = time.monotonic() + 20
    while fetch_value(connection, working) != expected:
        assert time.monotonic() < give_up_at
        execute(connection, "SELECT pg_stat_clear_snapshot()")
        time.sleep(0.05)


def test_many_logs_of_one_minute_are_no_quadratic_work() -> None:
    def at(seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    logs = [LinkLog("T", at(n / 1_000), f"{n}") for n in range(LOGS)]
    links = LinksByTitle(logs)

    begun = time.monotonic()
    found = {links.find_link("T", log.at) for log in logs}

    assert time.monotonic() - begun < 2
    assert found == {"0"}, "the first log is near all instants"
    assert links.find_link("T", at(310)) == "10000"
    assert links.find_link("T", at(-301)) is None
