"""A local peer that speaks FCM v1 over HTTP/2 and TLS; a device token's name says what happens."""

import json
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, WindowUpdated
from h2.exceptions import ProtocolError

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"

#: How long the word `slow` takes.
SLOW_S: Final = 0.1

#: By the first word of a device token: HTTP status, error.status, FCM code, extra headers.
REFUSALS: dict[str, tuple[int, str, str | None, dict[str, str]]] = {
    "unregistered": (404, "NOT_FOUND", "UNREGISTERED", {}),
    "malformed": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", {}),
    "payload": (400, "INVALID_ARGUMENT", None, {}),
    "large": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", {}),
    "field": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", {}),
    "lost": (404, "NOT_FOUND", None, {}),
    "stranger": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", {}),
    "busy": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", {"retry-after": "0"}),
    "patient": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", {"retry-after": "1"}),
    "hour": (503, "UNAVAILABLE", "UNAVAILABLE", {"retry-after": "3600"}),
    "down": (503, "UNAVAILABLE", "UNAVAILABLE", {}),
    "broken": (500, "INTERNAL", "INTERNAL", {}),
}

#: The message of the error, where it is not its name.
WORDS: Final[Mapping[str, str]] = {
    "unregistered": "Requested entity was not found.",
    "malformed": "The registration token is not a valid FCM registration token",
    "large": "Android message is too big",
    "field": "Request contains an invalid argument.",
    "lost": "Project 'gardem' does not exist.",
    "stranger": "SenderId mismatch",
}
#: The field that a BadRequest beside the error names.
FIELDS: Final[Mapping[str, str]] = {"payload": "message.android.ttl", "field": "message.token"}
#: Bodies of a 404 as proxies and wrong addresses give them.
PAGES: Final[Mapping[str, bytes]] = {
    "page": b"<html>\n <h1>Not Found</h1></html>",
    "empty": b"",
    "json": b'{"error": "no such route"}',
}

#: The words of a peer that takes no message; it takes the message of every other token.
UNWELL: Final = frozenset(
    {*REFUSALS, *PAGES, "refused", "reset", "hang", "cut", "nonsense", "hostile"}
)
#: What stands in Retry-After and in bodies where an answer is `hostile`.
HOSTILE_PAUSES: Final = (
    "999999999999999",
    "99999999999999999999999999",
    "\N{SUPERSCRIPT TWO}",
    "-1",
    "1e9",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 1999 23:59:59 +99999999999999999999",
    "",
    "soon",
)
HOSTILE_BODIES: Final = (
    b"",
    b"<html>It works!</html>",
    b"null",
    b"[]",
    b'{"name": 5}',
    b'{"error": []}',
    b'{"error": {"status": 7, "details": [{"errorCode": {}}, null, 3]}}',
    b'{"error": {"message": "\\u0000\\ud800"}}',
    b"\xff\xfe\x00",
    b"[" * 5_000,
    b'{"error": {"code": ' + b"9" * 5_000 + b"}}",
)

#: How a stream is closed without an answer.
RESETS = {"refused": ErrorCodes.REFUSED_STREAM, "reset": ErrorCodes.INTERNAL_ERROR}


@dataclass
class FcmServer:
    """Serves until closed. `cut-2-…` behaves so twice and is well afterwards; `cut` always does.

    Words: those of REFUSALS and PAGES; `hang` never answers, `cut` kills the connection with the
    request in it, `goaway` answers and says that the connection takes no more, `nonsense` is no
    JSON, `slow` answers well, after SLOW_S; `hostile` answers at random what nobody should.
    A word in `weather` is everybody's, for as long as it stands.
    With an `on_accept`, messages are handed to it instead of being kept.
    """

    ca_file: Path
    context: ssl.SSLContext
    port: int = 0
    max_streams: int = 100
    accepted_token: str | None = None
    received: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    weather: str | None = None
    on_accept: Callable[[dict[str, Any]], None] | None = None
    accepted: int = 0
    connections: int = 0
    validated: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def accept(self, listener: socket.socket, closing: threading.Event) -> None:
        while not closing.is_set():
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw, closing), daemon=True).start()

    def _serve(self, raw: socket.socket, closing: threading.Event) -> None:
        with suppress(OSError, ProtocolError), self.context.wrap_socket(raw, server_side=True) as s:
            self.connections += 1
            s.settimeout(0.2)
            _Connection(self, s).run(closing)

    def judge(self, headers: dict[str, str], body: bytes) -> "ProviderAnswer":
        document = json.loads(body)
        message = document["message"]
        token = message["token"]
        with self.lock:
            if self.on_accept is None:
                self.requests.append(headers)
            self.attempts[token] += 1
            self.validated += document.get("validate_only", False)
            word, times = (self.weather, float("inf")) if self.weather else behaviour_of(token)
            is_well = self.attempts[token] > times
        if self.accepted_token and headers["authorization"] != f"Bearer {self.accepted_token}":
            return _refusal(401, "UNAUTHENTICATED", None, {})
        if word == "slow" and not is_well:
            time.sleep(SLOW_S)
        if is_well or word not in UNWELL:
            with self.lock:
                self.accepted += 1
                name = f"projects/garden/messages/{self.accepted}"
                (self.on_accept or self.received.append)(message)
            kind = "goaway" if word == "goaway" and not is_well else "answer"
            return ProviderAnswer(200, json.dumps({"name": name}).encode(), kind=kind)
        return _unwell(word)


Provider = TypeVar("Provider", bound=FcmServer)


@dataclass(frozen=True)
class ProviderAnswer:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    kind: str = "answer"


def behaviour_of(token: str) -> tuple[str, float]:
    """Return the token's word, and how many times it behaves so."""
    word, _, rest = token.partition("-")
    times = rest.partition("-")[0]
    return word, int(times) if times.isdigit() and word != "ok" else float("inf")


def _unwell(word: str) -> ProviderAnswer:
    """Return what a peer answers that takes no message."""
    if word == "hostile":
        return hostile_answer(random.SystemRandom())
    if word in REFUSALS:
        return _refusal(*REFUSALS[word], word)
    if word in PAGES:
        return ProviderAnswer(404, PAGES[word])
    return ProviderAnswer(200, b"<html>", kind="answer" if word == "nonsense" else word)


def hostile_answer(chance: random.Random) -> ProviderAnswer:
    """Return an answer that no provider should give, and that some proxy once will."""
    status = chance.choice((200, 204, 206, 301, 400, 404, 408, 413, 418, 429, 500, 503, 599))
    headers = {"retry-after": chance.choice(HOSTILE_PAUSES)} if chance.random() < 0.7 else {}
    return ProviderAnswer(status, chance.choice(HOSTILE_BODIES), tuple(headers.items()))


def _refusal(
    status: int, name: str, code: str | None, headers: dict[str, str], word: str = ""
) -> ProviderAnswer:
    details: list[dict[str, Any]] = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    if word in FIELDS:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": FIELDS[word]}]})
    words = WORDS.get(word, name)
    body = {"error": {"code": status, "status": name, "message": words, "details": details}}
    return ProviderAnswer(status, json.dumps(body).encode(), tuple(headers.items()))


class _Connection:
    """One client's connection: streams in, answers out."""

    def __init__(self, server: FcmServer, sock: ssl.SSLSocket) -> None:
        self.server = server
        self.sock = sock
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.is_open = True
        self.is_leaving = False

    def run(self, closing: threading.Event) -> None:
        self.h2.local_settings.max_concurrent_streams = self.server.max_streams
        self.h2.initiate_connection()
        self._flush()
        while self.is_open and not closing.is_set():
            try:
                data = self.sock.recv(65_536)
            except TimeoutError:
                continue
            if not data:
                return
            for event in self.h2.receive_data(data):
                self._take(event)
            self._flush()
        self._linger()

    def _linger(self) -> None:
        """Read on until the client has left: closing at once would cost it answers under way."""
        give_up_at = time.monotonic() + (2 if self.is_leaving else 0)
        while time.monotonic() < give_up_at:
            try:
                if not self.sock.recv(65_536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self.headers[event.stream_id] = {str(k): str(v) for k, v in event.headers}
            self.bodies[event.stream_id] = b""
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._answer(event.stream_id)
        elif isinstance(event, WindowUpdated):
            return

    def _answer(self, stream_id: int) -> None:
        if not self.is_open:
            return
        answer = self.server.judge(self.headers.pop(stream_id), self.bodies.pop(stream_id))
        if answer.kind == "hang":
            return
        if answer.kind in RESETS:
            self.h2.reset_stream(stream_id, RESETS[answer.kind])
            return
        if answer.kind == "cut":
            self.is_open = False
            self.sock.shutdown(socket.SHUT_RDWR)
            return
        headers = [(":status", str(answer.status)), ("content-type", "application/json")]
        self.h2.send_headers(stream_id, [*headers, *answer.headers])
        self.h2.send_data(stream_id, answer.body, end_stream=True)
        if answer.kind == "goaway":
            self.h2.close_connection(last_stream_id=stream_id)
            self._flush()
            self.is_open = False
            self.is_leaving = True

    def _flush(self) -> None:
        if self.is_open:
            self.sock.sendall(self.h2.data_to_send())


@contextmanager
def run_fcm_server(folder: Path, max_streams: int = 100) -> Iterator[FcmServer]:
    """Serve on a free port of localhost, with a certificate of our own authority."""
    with run_provider(FcmServer, folder, max_streams) as server:
        yield server


@contextmanager
def run_provider(kind: type[Provider], folder: Path, max_streams: int = 100) -> Iterator[Provider]:
    """Serve as a provider of this kind on a free port of localhost."""
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    closing = threading.Event()
    server = kind(ca_file, context, listener.getsockname()[1], max_streams)
    thread = threading.Thread(target=server.accept, args=(listener, closing), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
