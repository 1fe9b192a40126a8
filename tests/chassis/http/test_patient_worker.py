"""The server waits for slow clients without a thread, and reads what they send as it was sent."""

import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

import pytest
from flask import Flask, Response, request

from chassis.bearer_auth import needs_no_token
from chassis.client_disconnects import SlowClientError
from chassis.http import client_socket, gunicorn_settings, patient_worker
from chassis.http.patient_worker import AWAITED, KEPT, MAX_UNREAD
from chassis.http.request_classes import (
    CAPACITIES,
    MAX_BUFFERED,
    MAX_CHECK,
    RequestClass,
    find_class,
    of_class,
)
from chassis.http.serving_in_thread import MAX_CONNECTIONS, ServerInThread

#: Set as soon as the requests of this name to /hold may end.
RELEASED: dict[str, threading.Event] = defaultdict(threading.Event)
BIG = 20_000_000


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

    @app.post("/check")
    @of_class(RequestClass.CHECK)
    def check() -> str:
        return f"checked {len(request.get_data())} bytes"

    @app.get("/health")
    @needs_no_token
    def health() -> str:
        return "well"

    add_busy_views(app)
    add_slow_views(app)
    return app


def add_busy_views(app: Flask) -> None:
    @app.post("/work")
    def work() -> str:
        size = len(request.get_data())
        time.sleep(1)
        return f"worked on {size} bytes"

    @app.post("/read-in-parts")
    def read_in_parts() -> str:
        begin = request.stream.read(500_000)
        time.sleep(1)
        return f"{len(begin + request.stream.read())} bytes"


def add_slow_views(app: Flask) -> None:
    @app.post("/hold")
    def hold() -> str:
        RELEASED[request.headers["X-From"]].wait(20)
        return f"held {len(request.get_data())} bytes"

    @app.get("/big")
    def big() -> bytes:
        return b"x" * BIG + b"the end"

    @app.get("/export")
    @of_class(RequestClass.EXPORT)
    def export() -> Response:
        return Response(b"x" * 1_000_000 for _ in range(100))

    @app.get("/wait")
    def wait() -> str:
        time.sleep(3)
        return "waited"


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
    came = bytearray()
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
    monkeypatch.setattr(client_socket, "STALL_S", 0.5)
    size, callers = 1_000_000, CAPACITIES[RequestClass.LARGE].threads * 3

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
    monkeypatch.setattr(client_socket, "STALL_S", 0.5)

    with connected(address) as client:
        client.sendall(post("/echo", b"x" * 1_000_000)[:-1])
        said = answer(client, b"slowly")

    assert said.startswith("HTTP/1.1 408 ")


def test_a_body_is_not_slow_while_the_server_is_busy(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_socket, "STALL_S", 0.5)

    with connected(address) as client:
        client.sendall(post("/read-in-parts", b"x" * BIG))
        said = answer(client, b"bytes")

    assert said.endswith(f"{BIG} bytes")


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


class Held(NamedTuple):
    clients: list[socket.socket]
    may_end: threading.Event


@contextmanager
def held(address: tuple[str, int], size: int, count: int) -> Iterator[Held]:
    """Let so many requests with a body of this size hold a thread, or wait for one."""
    name, clients = uuid4().hex, []
    try:
        for _ in range(count):
            clients.append(socket.create_connection(address, 20))
            clients[-1].sendall(post("/hold", b"x" * size, name=name))
        time.sleep(0.5)  # until the server has taken all of them
        yield Held(clients, RELEASED[name])
    finally:
        RELEASED[name].set()
        for client in clients:
            client.close()


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        (post("/check", b"x" * 1_000_000), b"checked 1000000 bytes"),
        (post("/check", b"x"), b"checked 1 bytes"),
        (post("/stop", b"{}"), b"stopped"),
        (post("/stop", b"x" * 1_000_000), b"stopped"),
        (post("/stop", b"2\r\n{}\r\n0\r\n\r\n", CHUNKED), b"stopped"),
        (post("/stop", b"0\r\nX-More: 1\r\n\r\n", "TRANSFER-encoding:  chunked"), b"stopped"),
        (post("/echo", b"3;a=b\r\nabc\r\n0\r\n\r\n", CHUNKED), b"3 bytes of me"),
    ],
    ids=["large check", "small check", "stop", "large stop", "chunked stop", "trailer", "chunks"],
)  # fmt: skip
def test_checks_stops_and_small_chunks_do_not_wait_for_large_bodies(
    address: tuple[str, int], asked: bytes, end: bytes
) -> None:
    with held(address, MAX_BUFFERED + 1, 5), connected(address) as client:
        client.settimeout(5)
        client.sendall(asked)

        assert answer(client, end).startswith("HTTP/1.1 200 ")


def test_a_check_does_not_wait_for_usual_requests(address: tuple[str, int]) -> None:
    with held(address, 1, 20), connected(address) as client:
        client.settimeout(5)
        client.sendall(post("/check", b"x" * 1_000_000))

        assert answer(client, b"checked 1000000 bytes").startswith("HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [1, MAX_BUFFERED + 1], ids=["usual", "large"])
def test_a_request_beyond_those_that_may_wait_is_refused_with_a_pause(
    address: tuple[str, int], size: int
) -> None:
    capacity = CAPACITIES[RequestClass.USUAL if size == 1 else RequestClass.LARGE]
    with (
        held(address, size, capacity.threads + capacity.waiting) as waiting,
        connected(address) as client,
    ):
        client.sendall(post("/hold", b"x" * size))
        refused = answer(client, b"}")
        waiting.may_end.set()
        served = [answer(one, b"bytes") for one in waiting.clients]

    with connected(address) as client:
        client.sendall(post("/echo", b"x" * size))
        assert answer(client, b"of me").startswith("HTTP/1.1 200 ")
    assert refused.startswith("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n")
    assert "Content-Type: application/problem+json" in refused
    assert "Repeat the request later" in refused
    assert [f"held {size} bytes" in said for said in served] == [True] * len(served)


def begin_big(clients: list[socket.socket]) -> None:
    """Ask for a large answer, and wait until it begins to come."""
    for client in clients:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in clients:
        client.recv(1, socket.MSG_PEEK)


def test_who_reads_a_large_answer_slowly_keeps_no_thread_and_gets_it_whole(
    address: tuple[str, int],
) -> None:
    stuck = [socket.create_connection(address, 20) for _ in range(9)]
    slow = [socket.create_connection(address, 20) for _ in range(3)]
    begin_big(stuck)
    begin_big(slow)

    with connected(address) as client:
        client.settimeout(5)
        client.sendall(post("/echo", b"1234"))
        said = answer(client, b"of me")
    for client in stuck:
        client.close()
    for client in slow:
        client.sendall(post("/echo", b"12"))
    whole = [answer(client, b"2 bytes of me") for client in slow]

    for client in slow:
        client.close()
    assert "4 bytes of me" in said
    assert BIG * 12 > MAX_UNREAD > BIG * 3
    assert ["x" * 1_000 + "the end" in text and len(text) > BIG for text in whole] == [True] * 3


@pytest.mark.slow
def test_many_who_read_large_answers_at_once_get_them_whole(address: tuple[str, int]) -> None:
    def ask(_: int) -> int:
        with connected(address) as client:
            client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            return len(answer(client, b"the end"))

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(ask, range(8)))

    assert BIG * 8 > MAX_UNREAD
    assert min(sizes) > BIG


def test_an_answer_counts_whole_until_its_last_byte_is_read(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_worker, "MAX_UNSENT", 50_000_000)
    clients = []
    for _ in range(5):
        clients.append(begin_big_with_small_buffer(address))
        read(clients[-1], BIG - 5_000_000)

    with connected(address) as client:
        client.sendall(post("/echo", b"1234"))
        answer(client, b"of me")
    rests = [len(read_to_the_end(client)) for client in clients]

    for client in clients:
        client.close()
    assert max(rests[:3]) < 5_000_000 <= min(rests[3:])


def test_a_slow_reader_is_not_cut_for_the_answer_of_a_fast_one(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_worker, "MAX_UNREAD", 30_000_000)
    monkeypatch.setattr(client_socket, "GRACE_S", 0.2)
    slow = begin_big_with_small_buffer(address)
    time.sleep(0.5)  # until it is slow
    fast = begin_big_with_small_buffer(address)
    read(fast, 1_000_000)

    with connected(address) as client:
        client.sendall(post("/echo", b"1234"))
        answer(client, b"of me")
    rests = [len(read_to_the_end(client)) for client in (fast, slow)]

    fast.close()
    slow.close()
    assert min(rests) > BIG - 1_000_000


def begin_big_with_small_buffer(address: tuple[str, int]) -> socket.socket:
    """Ask for a large answer on a connection whose unread bytes stay with the server."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.settimeout(20)
    client.connect(address)
    # The server hangs up after this answer, so that its end is seen.
    client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    client.recv(1, socket.MSG_PEEK)
    return client


def read(client: socket.socket, size: int) -> None:
    while size > 0:
        piece = client.recv(min(size, 1_000_000))
        assert piece, size
        size -= len(piece)


def test_a_reader_is_not_slow_while_the_server_makes_the_next_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_socket, "STALL_S", 0.5)
    accepted, client = socket.socketpair()
    client.settimeout(5)
    server = client_socket.ClientSocket(accepted)
    try:
        with ThreadPoolExecutor(1) as pool:
            server.sendall(b"x" * BIG)
            reading = pool.submit(read, client, BIG)
            server.sendall(b"y" * BIG)
            reading.result()
            assert server.unsent

            reading = pool.submit(read, client, BIG)
            time.sleep(1)  # the next piece takes long
            server.sendall(b"z")
            reading.result()
        assert client.recv(10) == b"z"
    finally:
        server.close()
        client.close()


def test_who_stops_reading_is_hung_up_on_and_frees_the_thread_of_a_table(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_socket, "STALL_S", 0.5)
    stuck = [socket.create_connection(address, 20) for _ in range(4)]
    for path, client in zip(("/export", "/export", "/big", "/big"), stuck, strict=True):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    time.sleep(2)

    with connected(address) as client:
        client.sendall(b"GET /export HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
    for client in stuck:
        assert len(read_to_the_end(client)) < BIG
        client.close()


def read_to_the_end(client: socket.socket) -> bytes:
    """Return what comes until the server hangs up, politely or not."""
    came = bytearray()
    try:
        while piece := client.recv(1_000_000):
            came += piece
    except ConnectionResetError:
        pass
    return bytes(came)


def test_who_reads_a_table_a_little_at_a_time_is_too_slow_in_the_end(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_socket, "STALL_S", 0.5)
    monkeypatch.setattr(client_socket, "BYTES_A_SECOND", 100_000_000)

    with connected(address) as client:
        client.sendall(b"GET /export HTTP/1.1\r\nHost: x\r\n\r\n")
        came = 0
        for _ in range(100):
            piece = client.recv(100_000)
            came += len(piece)
            time.sleep(0.05)
            if not piece:
                break

    assert 0 < came < 50_000_000


def test_connections_that_are_kept_leave_room_for_others(address: tuple[str, int]) -> None:
    over = threading.Event()
    kept = [socket.create_connection(address, 20) for _ in range(MAX_CONNECTIONS + 10)]

    def keep(client: socket.socket) -> None:
        while not over.wait(0.7):
            try:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                client.recv(1_000)
            except OSError:
                return

    with ThreadPoolExecutor(len(kept)) as pool:
        for client in kept:
            pool.submit(keep, client)
        time.sleep(2)
        try:
            with connected(address) as client:
                client.sendall(post("/stop", b"{}"))
                said = answer(client, b"stopped")
        finally:
            over.set()
    for client in kept:
        client.close()
    assert said.startswith("HTTP/1.1 200 ")


def test_a_kept_connection_outlives_that_of_a_proxy() -> None:
    nginx_keeps_s = 60  # keepalive_timeout of an upstream, unless nginx is told otherwise

    assert gunicorn_settings.keepalive > nginx_keeps_s


def test_a_worker_has_a_connection_for_every_request_that_may_wait() -> None:
    connections = gunicorn_settings.worker_connections
    served = sum(capacity.threads + capacity.waiting for capacity in CAPACITIES.values())

    assert connections * (AWAITED + KEPT) + served <= connections


def test_a_view_decides_on_its_lane_and_unknown_paths_have_the_usual_one() -> None:
    app = make_app()

    assert find_class(app, "POST", "/stop") is RequestClass.STOP
    assert find_class(app, "GET", "/stop") is RequestClass.USUAL
    assert find_class(app, "POST", "/nowhere") is RequestClass.USUAL
    assert find_class(app, "POST", "/echo") is RequestClass.USUAL
    assert find_class(app, "POST", "/echo", MAX_BUFFERED + 1) is RequestClass.LARGE
    assert find_class(app, "POST", "/stop", MAX_CHECK + 1) is RequestClass.STOP
    assert find_class(app, "POST", "/check", MAX_CHECK) is RequestClass.CHECK
    assert find_class(app, "POST", "/check", MAX_CHECK + 1) is RequestClass.HUGE_CHECK
