"""A local peer that takes posts, as push services and webhooks do, and misbehaves when asked."""

import random
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import trustme

from chassis.clock import utc_now
from tests.serving import running

#: What the first word of a path makes the peer answer.
ANSWERS: Final[Mapping[str, tuple[int, dict[str, str]]]] = {
    "ok": (201, {"Location": "/receipt/1"}),
    "accepted": (202, {}),
    "gone": (410, {}),
    "unknown": (404, {}),
    "large": (413, {}),
    "stranger": (403, {}),
    "anonymous": (401, {}),
    "busy": (429, {"Retry-After": "7"}),
    "down": (503, {}),
    "redirect": (307, {"Location": "/ok/elsewhere"}),
    "redirect-permanently": (301, {"Location": "/ok/elsewhere"}),
}

#: The bodies that stand behind some words.
BODIES: Final[Mapping[str, tuple[int, bytes]]] = {
    "page": (200, b"<html>It works!</html>"),
    "nothing": (204, b""),
    "lost-page": (404, b"<html>\n Not Found</html>"),
    "unsubscribed": (404, b'{"code": 404, "errno": 102, "error": "Not Found"}'),
    "other-errno": (404, b'{"code": 404, "errno": 103, "error": "Not Found"}'),
    "list": (404, b"[102]"),
    "other-key": (400, b'{"reason":"VapidPkHashMismatch"}'),
    "wrong-subject": (403, b'{"reason":"BadJwtToken"}'),
    "wordy": (400, b"\xff\x00" + b"no " * 30_000),
}


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class PostReceiver:
    """Serves until closed. `later` says 503 and when by a date; `hang` answers nothing, `cut` hangs
    up, `flood` answers 200 and a body without end, `hostile` anything at all."""

    port: int
    ca_file: Path | None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "localhost") -> str:
        return f"{'https' if self.ca_file else 'http'}://{host}:{self.port}/{path}"

    def paths(self) -> list[str]:
        return sorted(request.path for request in self.received)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    peer: PostReceiver

    def setup(self) -> None:
        self.peer.connections += 1
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.peer.received.append(Received(self.path, headers, body))
        word = self.path.split("/")[1]
        if word == "hang":
            self.peer.closing.wait(10)
        if word in {"hang", "cut"}:
            self.close_connection = True
        elif word == "flood":
            self._flood()
        elif word == "hostile":
            self._lie(random.SystemRandom())
        elif word in BODIES:
            status, words = BODIES[word]
            self._answer(status, {}, words)
        else:
            self._answer(*_answer(word))

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _lie(self, chance: random.Random) -> None:
        """Answer anything at all: any status, headers, body, in pieces, late, or cut off."""
        self.close_connection = True
        for piece in hostile_answer(chance):
            try:
                self.wfile.write(piece)
                self.wfile.flush()
            except OSError:
                return
            if chance.random() < 0.02:
                time.sleep(0.05)

    def _flood(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while not self.peer.closing.is_set():
            try:
                self.wfile.write(b"x" * 65_536)
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


#: What stands in headers of an answer that is `hostile`.
HOSTILE_PAUSES: Final = (
    b"999999999999999",
    b"9" * 400,
    b"\xb2",
    b"-5",
    b"1e400",
    b"nan",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Fri, 31 Dec 9999 23:59:59 -9999",
    b"Fri, 31 Dec 1999 23:59:59 +99999999999999999999",
    b"Mon, 99 Foo 0000 99:99:99 GMT",
    b"\xff\xfe",
    b"",
    b"7",
)
HOSTILE_BODIES: Final = (b"", b"<html>", b"null", b"\x00\xff", b"[" * 9_000, b"x" * 200_000)


def hostile_answer(chance: random.Random) -> list[bytes]:
    """Return the pieces of an answer as no good receiver gives it."""
    status = chance.choice((200, 201, 204, 301, 308, 400, 404, 410, 413, 429, 500, 503, 599, 999))
    body = chance.choice(HOSTILE_BODIES)
    head = [
        b"HTTP/1.1 %d \xe2\x9c\x93" % status,
        b"Retry-After: " + chance.choice(HOSTILE_PAUSES),
        b"Location: /" + chance.choice((b"r", b"\xff\x00x", b"y" * 5_000)),
        chance.choice((b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")),
    ]
    chance.shuffle(head[1:])
    pieces = [b"\r\n".join(head) + b"\r\n\r\n", body]
    return pieces[: chance.choice((0, 1, 2, 2, 2))]


def _answer(word: str) -> tuple[int, Mapping[str, str]]:
    if word == "later":
        in_a_minute = utc_now() + timedelta(minutes=1)
        return 503, {"Retry-After": format_datetime(in_a_minute, usegmt=True)}
    return ANSWERS[word]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are meant to."""


@contextmanager
def run_post_receiver(folder: Path | None = None) -> Iterator[PostReceiver]:
    """Serve on a free port of localhost; over TLS, by an authority of our own, given a folder."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    ca_file = None
    if folder:
        authority = trustme.CA()
        ca_file = folder / "receiver-ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    peer = PostReceiver(server.server_port, ca_file)
    handler.peer = peer  # type: ignore[attr-defined]  # made two lines above
    with running(server):
        try:
            yield peer
        finally:
            peer.closing.set()
