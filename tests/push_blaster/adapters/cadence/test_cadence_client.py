"""What the cadence client makes of a neighbour that misbehaves."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
import responses
from structlog.testing import capture_logs

from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fakes.fickle_proxy import FickleProxy, Mood, run_proxy
from tests.people import ALICE
from tests.serving import running

URL = "http://cadence.test"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GOOD = {"eligibleCount": 1, "excludedPositions": {}, "failedOpen": False}


@pytest.fixture
def client() -> CadenceClient:
    return CadenceClient(URL, "secret", timeout=timedelta(seconds=0.3))


@responses.activate
@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ({"status": 503, "body": "resting"}, "answered 503: resting"),
        ({"status": 302, "headers": {"Location": "http://elsewhere.test"}}, "answered 302"),
        ({"body": requests.ConnectTimeout()}, "did not answer (connect timeout)"),
        ({"body": requests.ConnectionError()}, "did not answer (connection error)"),
        ({"body": "<html>"}, "answered nonsense"),
        ({"body": "[]"}, "answered nonsense"),
        ({"json": {}}, "answered nonsense"),
        ({"json": {**GOOD, "eligibleCount": "everybody"}}, "answered nonsense"),
        ({"json": {**GOOD, "excludedPositions": {"cap": ["first"]}}}, "answered nonsense"),
        ({"json": {**GOOD, "excludedPositions": {"cap": [-1]}}}, "answered nonsense"),
        ({"json": {**GOOD, "excludedPositions": {"cap": [1]}}}, "users who were not asked for"),
        ({"json": {**GOOD, "excludedPositions": {"cap": [0]}}}, "counts do not add up"),
    ],
)
def test_an_outage_is_one_error_whatever_its_cause(
    client: CadenceClient, failure: dict[str, object], said: str
) -> None:
    responses.post(f"{URL}/filter-audience", **failure)

    with pytest.raises(CadenceUnavailableError) as caught:
        client.reserve_audience([ALICE], 3, NOON, "k")

    assert said in str(caught.value)


@responses.activate
def test_one_fault_is_tried_again(client: CadenceClient) -> None:
    responses.post(f"{URL}/filter-audience", status=500)
    responses.post(f"{URL}/filter-audience", json=GOOD)

    assert client.reserve_audience([ALICE], 3, NOON, "k").eligible == {ALICE}


def test_a_service_that_never_answers_is_given_up(silent_server: str) -> None:
    client = CadenceClient(silent_server, "secret", timeout=timedelta(seconds=0.2))

    with pytest.raises(CadenceUnavailableError, match="read timeout"):
        client.reserve_audience([ALICE], 3, NOON, "k")


def test_a_service_that_drips_its_answer_is_given_up(dripping_server: str) -> None:
    client = CadenceClient(dripping_server, "secret", timeout=timedelta(seconds=0.4))

    with pytest.raises(CadenceUnavailableError, match="did not answer in time"):
        client.reserve_audience([ALICE], 3, NOON, "k")


@pytest.fixture
def proxy(cadence_service: str) -> Iterator[FickleProxy]:
    with run_proxy() as proxy:
        proxy.target, proxy.slowness_s = cadence_service, 1.0
        yield proxy


def an_impatient_client(proxy: FickleProxy) -> CadenceClient:
    return CadenceClient(
        proxy.url, CADENCE_TOKEN, timeout=timedelta(seconds=0.3), rest=timedelta(seconds=0.6)
    )


def wait_in_vain(client: CadenceClient) -> tuple[float, str]:
    """Return how long a question took that was not answered, and why it was not."""
    begun = time.monotonic()
    with pytest.raises(CadenceUnavailableError) as caught:
        client.filter_audience([ALICE], 3, NOON)
    return time.monotonic() - begun, str(caught.value)


def test_a_service_that_keeps_us_waiting_is_left_alone_and_then_asked_by_one(
    proxy: FickleProxy,
) -> None:
    client = an_impatient_client(proxy)
    proxy.mood = Mood.SLOW
    with capture_logs() as logs:
        waits = [wait_in_vain(client) for _ in range(3)]
        refusals = [wait_in_vain(client) for _ in range(5)]
        time.sleep(0.6)
        probe = threading.Thread(target=wait_in_vain, args=(client,))
        probe.start()
        time.sleep(0.1)
        meanwhile = wait_in_vain(client)
        probe.join()

    assert all(took_s >= 0.6 for took_s, _ in waits), "each waits for two answers"
    assert all("left alone" in said and took_s < 0.1 for took_s, said in [*refusals, meanwhile])
    assert [e["event"] for e in logs if e.get("neighbour") == "cadence"] == ["left_alone"]


def test_a_service_that_is_well_again_is_asked_again_and_its_verdict_holds(
    proxy: FickleProxy,
) -> None:
    client = an_impatient_client(proxy)
    before = client.filter_audience([ALICE], 3, NOON)
    proxy.mood = Mood.SLOW
    for _ in range(4):
        wait_in_vain(client)

    proxy.mood = Mood.WELL
    time.sleep(0.6)

    for _ in range(5):
        assert client.filter_audience([ALICE], 3, NOON) == before


def test_a_service_that_refuses_at_once_may_be_asked_again_at_once(proxy: FickleProxy) -> None:
    client = an_impatient_client(proxy)
    proxy.mood = Mood.AWAY
    for _ in range(10):
        wait_in_vain(client)

    proxy.mood = Mood.WELL

    assert client.filter_audience([ALICE], 3, NOON).eligible == {ALICE}


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def dripping_server() -> Iterator[str]:
    """Answers a byte at a time, each well within any time-out of a single read."""

    class Drip(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "50")
            self.end_headers()
            with suppress(OSError):
                for _ in range(50):
                    self.wfile.write(b" ")
                    time.sleep(0.1)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Drip)) as url:
        yield url
