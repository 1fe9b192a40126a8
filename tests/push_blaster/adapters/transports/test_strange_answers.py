"""Answers byte by byte, as no library sends them: each has one outcome, within bounds, in time."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID

import pytest

from chassis.http.retry_after import MAX_PAUSE_S
from push_blaster.adapters.transports.guarded_http import PostOptions
from push_blaster.adapters.transports.webhook_transport import make_webhook_transport
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from tests.fakes.raw_server import run_raw_server

OPTIONS = PostOptions(
    private_networks=(ip_network("127.0.0.0/8"),), answer_timeout=timedelta(seconds=1)
)

Answer = bytes | Callable[[socket.socket], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Read each request and send the answer; then hang up."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        if callable(answer):
            answer(connection)
        else:
            connection.sendall(answer)

    with run_raw_server(serve) as url:
        yield f"{url}/hook"


def read_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65_536)


def send(answer: Answer) -> Delivery:
    transport = make_webhook_transport(b"thirty-two bytes of a secret key", ["http"], OPTIONS)
    with answering(answer) as url:
        message = Message(UUID(int=1), url, "Hi", "Text", "", "tag", device_kind="webhook")
        (delivery,) = transport.send([message], lambda: False)
    transport.close()
    assert delivery.reason is None or len(delivery.reason) <= 500
    return delivery


def without_end(start: bytes, more: bytes, pause_s: float = 0.0) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(more)
            time.sleep(pause_s)

    return answer


BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n"
GZIP_BOMB = b"\x1f\x8b\x08\x00" + b"\x00" * 50_000


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"", Outcome.IN_DOUBT),
        (b"\x00\xff\xfe", Outcome.IN_DOUBT),
        (b"HTTP/9.9 200 OK\r\n\r\n", Outcome.IN_DOUBT),
        (b"HTTP/1.1 0 Nothing\r\n\r\n", Outcome.IN_DOUBT),
        (b"HTTP/1.1 -20 OK\r\n\r\n", Outcome.IN_DOUBT),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Outcome.IN_DOUBT),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Outcome.SENT),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\nsome body", Outcome.SENT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut off", Outcome.SENT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk", Outcome.SENT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Outcome.SENT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n", Outcome.SENT),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + GZIP_BOMB, Outcome.SENT),
        (b"HTTP/1.1 200 OK\r\nLocation: \xff\x00\r\n\r\n", Outcome.SENT),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://[::1]/\r\n\r\n", Outcome.FAILED),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", Outcome.FAILED),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Outcome.FAILED),
        (b"HTTP/1.1 418 \xe2\x98\x95\r\n\r\n\x00\xff", Outcome.FAILED),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 5\r\n\r\ncut", Outcome.DEFERRED),
        (b"HTTP/1.1 600 What\r\n\r\n", Outcome.DEFERRED),
        (b"HTTP/1.1 999 What\r\n\r\n", Outcome.DEFERRED),
        (without_end(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536), Outcome.SENT),
        (without_end(b"HTTP/1.1 503 Busy\r\n\r\n", b"x", 0.01), Outcome.DEFERRED),
        (without_end(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.01), Outcome.SENT),
        (without_end(b"HTTP/1.1 404 No\r\nX-A: ", b"b" * 65_536), Outcome.FAILED),
        (without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001), Outcome.IN_DOUBT),
        (lambda _: time.sleep(5), Outcome.IN_DOUBT),
    ],
)
def test_a_strange_answer_has_one_outcome(answer: Answer, outcome: Outcome) -> None:
    assert send(answer).outcome is outcome


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        (b"", None),
        (b"Retry-After: 5\r\n", 5.0),
        (b"retry-after:5\r\n", 5.0),
        (b"RETRY-AFTER: \t5 \r\n", 5.0),
        (b"Retry-After: 5\r\nRetry-After: 7\r\n", 7.0),
        (b"Retry-After: 99999999999\r\n", MAX_PAUSE_S),
        (b"Retry-After: -5\r\n", None),
        (b"Retry-After: 5.5\r\n", None),
        (b"Retry-After: NaN\r\n", None),
        (b"Retry-After: inf\r\n", None),
        (b"Retry-After: 0x10\r\n", None),
        (b"Retry-After: 5, 7\r\n", None),
        (b"Retry-After: \xb2\r\n", None),
        (b"Retry-After: \xd9\xa3\r\n", None),
        (b"Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 0.0),
        (b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", MAX_PAUSE_S),
        (b"Retry-After: 31 Dec 99999 23:59:59\r\n", None),
        (b"X-A: \xff\xfe\r\nRetry-After: 5\r\n", 5.0),
        (b"Retry-After\r\n", None),
        (b": 5\r\n", None),
    ],
)
def test_a_pause_is_read_within_bounds_or_not_at_all(headers: bytes, pause_s: float | None) -> None:
    delivery = send(BUSY + headers + b"\r\n")

    assert (delivery.outcome, delivery.retry_after_s) == (Outcome.DEFERRED, pause_s)


def test_an_interim_answer_says_nothing_about_the_pause() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 80000\r\nLocation: /x\r\n\r\n"

    assert send(interim + BUSY + b"\r\n").retry_after_s is None
    assert send(interim + b"HTTP/1.1 200 OK\r\n\r\n").provider_id is None
