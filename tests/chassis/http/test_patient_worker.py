"""The server waits for slow clients without a thread, and reads what they send as it was sent."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from flask import Flask, request

from chassis.bearer_auth import needs_no_token
from chassis.client_disconnects import SlowClientError
from chassis.http import patient_worker
from chassis.http.patient_worker import AWAITED, MAX_BUFFERED
from chassis.http.request_classes import THREADS, RequestClass, find_class, of_class
from chassis.http.serving_in_thread import MAX_CONNECTIONS, ServerInThread


def make_app() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.register_error_handler(SlowClientError, lambda _: ("slowly", 408))

    @app.post("/echo")
    def echo() -> str:
        return f"{len(request.get_data())} bytes of {request.headers['X-From']}"

    @app.post("/stop")
    @of_class(RequestClass.STOP)
    def stop() -> str:
        return "stopped"

    @app.get("/health")
    @needs_no_token
    def health() -> str:
        return "well"

    @app.post("/work")
    def work() -> str:
        size = len(request.get_data())
        time.sleep(1)
        return f"worked on {size} bytes"

    @app.get("/wait")
    def wait() -> str:
        time.sleep(3)
        return "waited"

    return app


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    server = ServerInThread(make_app(), "127.0.0.1", 0)
    yield "127.0.0.1", server.port
    server.stop()


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, 20) as client:
        yield client


def answer(client: socket.socket, end: bytes) -> str:
    """Return what comes, up to the last words of the answers."""
    came = b""
    while not came.endswith(end):
        piece = client.recv(65_536)
        assert piece, came
        came += piece
    return came.decode()


def post(path: str, body: bytes, *more: str, name: str = "me") -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", f"X-From: {name}", *more]
    if not any("chunked" in line for line in more):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


def test_requests_that_follow_each_other_at_once_are_each_answered(
    address: tuple[str, int],
) -> None:
    with connected(address) as client:
        client.sendall(post("/echo", b"x" * 10, name="one") + post("/echo", b"", name="two"))

        came = answer(client, b"of two")

    assert "10 bytes of one" in came
    assert "0 bytes of two" in came


@pytest.mark.parametrize("size", [0, 1, MAX_BUFFERED, MAX_BUFFERED + 1, 5_000_000])
def test_a_body_of_any_size_arrives_whole_and_the_connection_goes_on(
    address: tuple[str, int], size: int
) -> None:
    with connected(address) as client:
        for _ in range(2):
            client.sendall(post("/echo", b"x" * size))

            assert f"{size} bytes of me" in answer(client, b"of me")


def test_a_large_body_that_waits_for_a_thread_is_not_taken_for_a_slow_one(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_worker, "STALL_S", 0.5)
    size, callers = 1_000_000, THREADS[RequestClass.LARGE] * 3

    def ask(_: int) -> str:
        with connected(address) as client:
            client.sendall(post("/work", b"x" * size))
            return answer(client, b"bytes")

    with ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(ask, range(callers)))

    assert [f"worked on {size} bytes" in said for said in answers] == [True] * callers


def test_a_large_body_that_stops_coming_is_answered_408(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_worker, "STALL_S", 0.5)

    with connected(address) as client:
        client.sendall(post("/echo", b"x" * 1_000_000)[:-1])
        said = answer(client, b"slowly")

    assert said.startswith("HTTP/1.1 408 ")


def test_a_chunked_body_and_one_that_waits_to_be_asked_for_arrive(
    address: tuple[str, int],
) -> None:
    with connected(address) as client:
        chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        client.sendall(post("/echo", chunks, "Transfer-Encoding: chunked"))
        assert "5 bytes of me" in answer(client, b"of me")

        whole = post("/echo", b"x" * 7, "Expect: 100-continue")
        client.sendall(whole[:-7])
        assert answer(client, b"\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(whole[-7:])
        assert "7 bytes of me" in answer(client, b"of me")


def test_what_stops_and_health_have_threads_when_all_others_wait(
    address: tuple[str, int],
) -> None:
    clients = [socket.create_connection(address, 20) for _ in range(12)]
    for client in clients:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")

    with connected(address) as client:
        client.settimeout(2.5)
        client.sendall(post("/stop", b"{}"))
        said = answer(client, b"stopped")
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        said += answer(client, b"well")

    for client in clients:
        client.close()
    assert said.count("HTTP/1.1 200 ") == 2


def test_a_body_is_awaited_without_a_thread_however_its_length_is_written(
    address: tuple[str, int],
) -> None:
    heads = [
        f"POST /echo HTTP/1.1\r\nHost: x\r\nX-From: me\r\nContent-Length: {length}\r\n\r\n"
        for length in ("4000\t", "0" * 14 + "4000", "0" * 30 + "4000")
    ]
    clients = [socket.create_connection(address, 20) for _ in range(12)]
    for number, client in enumerate(clients):
        client.sendall(heads[number % len(heads)].encode())

    with connected(address) as client:
        client.settimeout(12)  # a body may take 20 s
        client.sendall(post("/echo", b"1234"))
        said = answer(client, b"of me")
    for client in clients[:3]:
        client.sendall(b"x" * 4_000)
        said += answer(client, b"of me")

    for client in clients:
        client.close()
    assert said.count("4000 bytes of me") == 3


def test_of_too_many_unfinished_requests_the_oldest_go_and_whole_ones_are_served(
    address: tuple[str, int],
) -> None:
    clients = []
    for _ in range(MAX_CONNECTIONS * 2):
        clients.append(socket.create_connection(address, 20))
        clients[-1].sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Slow: ")

    with connected(address) as client:
        client.sendall(post("/echo", b"1234"))
        said = answer(client, b"of me")
    first = clients[0].recv(100)

    for client in clients:
        client.close()
    assert "4 bytes of me" in said
    assert first.startswith(b"HTTP/1.1 408 ")


def test_a_connection_may_be_dropped_in_the_moment_in_which_it_sends_more() -> None:
    server = ServerInThread(make_app(), "127.0.0.1", 0)
    address = ("127.0.0.1", server.port)
    clients = [socket.create_connection(address, 20) for _ in range(int(MAX_CONNECTIONS * AWAITED))]
    for client in clients:
        client.sendall(b"POST /echo HTTP/1.1\r\n")
    time.sleep(0.5)  # until the server awaits more of each

    server.method_queue.defer(lambda: time.sleep(1))  # what comes now is seen all at once
    time.sleep(0.3)
    clients.append(socket.create_connection(address, 20))
    for client in clients:
        client.sendall(b"X-Slow: ")
    with connected(address) as client:
        client.sendall(post("/echo", b"1234"))
        said = answer(client, b"of me")

    for client in clients:
        client.close()
    server.stop()
    assert "4 bytes of me" in said


@pytest.mark.parametrize(
    "nonsense",
    [b"\r\n\r\n", b"?\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n\r\n",
     b"GET /%ff%00 HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", b"x" * 100_000],
)  # fmt: skip
def test_nonsense_is_refused_and_hurts_nobody(address: tuple[str, int], nonsense: bytes) -> None:
    with connected(address) as client:
        client.sendall(nonsense)
        client.shutdown(socket.SHUT_WR)
        said = client.recv(1_000)

    with connected(address) as client:
        client.sendall(post("/echo", b""))
        assert "0 bytes of me" in answer(client, b"of me")
    assert not said or said.startswith(b"HTTP/1.1 4")


def test_a_view_decides_on_its_lane_and_unknown_paths_have_the_usual_one() -> None:
    app = make_app()

    assert find_class(app, "POST", "/stop") is RequestClass.STOP
    assert find_class(app, "GET", "/stop") is RequestClass.USUAL
    assert find_class(app, "POST", "/nowhere") is RequestClass.USUAL
    assert find_class(app, "POST", "/echo") is RequestClass.USUAL
