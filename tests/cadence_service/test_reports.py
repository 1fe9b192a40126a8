"""Big reports: two at a time, the others wait or are sent away, and none outlives its client."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from cadence_service.adapters.report_queue import LOCK_SPACE, RUNNING, ReportQueue
from chassis.postgres import BulkDatabase, ValueRefusedError
from chassis.rows import execute, fetch_value
from tests.cadence_service.replicas import call, running_replicas
from tests.cadence_service.settings import CADENCE_TOKEN

RULE = {
    "name": "r",
    "appliesToLayers": [3],
    "countedLayers": [3],
    "windowHours": 72,
    "maxCount": 1,
}
BODY = {"rules": [RULE]}


@pytest.fixture
def url(cadence_database: BulkDatabase) -> Iterator[str]:
    with running_replicas(cadence_database.url, 1) as (url,):
        yield url


def simulate(url: str) -> requests.Response:
    return call("POST", f"{url}/simulate", json=BODY)


def test_two_run_others_wait_and_the_rest_are_sent_away(
    url: str, cadence_database: BulkDatabase
) -> None:
    other = ReportQueue(cadence_database)
    with ThreadPoolExecutor(8) as pool:
        with other.turn(), other.turn():
            asked = [pool.submit(simulate, url) for _ in range(5)]
            time.sleep(1)
            early = [future.result() for future in asked if future.done()]
            assert call("GET", f"{url}/health").status_code == 200, "checks go on"
        answers = [future.result() for future in asked]

    assert [answer.status_code for answer in early] == [503, 503]
    assert early[0].headers["Retry-After"] == "10"
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 503, 503]


def test_one_that_waits_ends_with_its_client(url: str, cadence_database: BulkDatabase) -> None:
    other = ReportQueue(cadence_database)
    with other.turn(), other.turn():
        for _ in range(6):
            _hang_up_on_a_simulation(url)
        time.sleep(1.5)

    assert simulate(url).status_code == 200


def test_a_turn_is_free_again_however_its_report_ended(cadence_database: BulkDatabase) -> None:
    queue = ReportQueue(cadence_database)
    for _ in range(2 * RUNNING):
        with pytest.raises(ValueRefusedError), queue.turn() as connection:
            execute(connection, "SELECT 1 / 0")

    with cadence_database.transaction() as connection:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
        assert fetch_value(connection, held, [LOCK_SPACE]) == 0


def _hang_up_on_a_simulation(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    body = b'{"rules": []}'
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /simulate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {CADENCE_TOKEN}\r\n".encode()
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        time.sleep(0.2)
