"""The worker of gunicorn for both services: it waits for slow clients without a thread.

gunicorn's own worker gives a connection to a thread as soon as it sends something, and the thread
waits for the rest. This one reads a request in its event loop, up to a size and a time, and gives
the whole request to a thread of its class. What a client does not read at once of its answer, the
event loop sends later.
"""

import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from chassis.http import client_socket
from chassis.http.client_connection import BODY_S, Connection, HeadTooLargeError
from chassis.http.client_socket import Pace
from chassis.http.ending import end_waits
from chassis.http.request_classes import CAPACITIES, RequestClass
from chassis.problems import problem_response

#: The parts of a worker's connections that may be awaited, and that may be kept for a next request;
#: beyond them the oldest is closed. The rest is for requests that are served or wait for a thread.
AWAITED: Final = 0.5
KEPT: Final = 0.2
#: How much of all answers may wait for readers that are slow, and for readers of any kind; beyond
#: it the oldest answer of them is given up.
MAX_UNREAD: Final = 64 * 1024 * 1024
MAX_UNSENT: Final = 256 * 1024 * 1024
#: How long a client may take for the head of a request, and for hanging up.
HEAD_S: Final = 10.0
HANG_UP_S: Final = 2.0
#: How long a thread waits for the rest of a body that nobody read, to keep the connection.
DRAIN_S: Final = 0.01
#: When a client may repeat a request for which too many others waited.
RETRY_S: Final = 5


def _refusal(status: HTTPStatus, detail: str = "", *headers: str) -> bytes:
    """Return the bytes of an answer that no thread gives."""
    body = problem_response(status, status.phrase, detail).get_data() if detail else b""
    kind = ["Content-Type: application/problem+json"] if detail else []
    first = f"HTTP/1.1 {status.value} {status.phrase}"
    lines = [first, *headers, *kind, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


_TOO_SLOW: Final = _refusal(HTTPStatus.REQUEST_TIMEOUT)
_TOO_LARGE: Final = _refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "The head of the request is too large. Send fewer or shorter headers.",
)
_BUSY: Final = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Too many requests of this kind wait already. Repeat the request later.",
    f"Retry-After: {RETRY_S}",
)


@dataclass(slots=True)
class _Queue:
    """The threads of a class, and the requests that they serve or that wait for them."""

    threads: ThreadPoolExecutor
    most: int
    taken: int = 0


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """A worker with threads, which serve only requests that have come."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what gunicorn gives to a worker."""
        super().__init__(*args, **kwargs)
        self.max_keepalived = int(self.worker_connections * KEPT)
        #: The connections of which something is awaited, oldest first.
        self._awaited: dict[Connection, None] = {}
        self._queues: dict[RequestClass, _Queue] = {}

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Make the threads of every class; return those that gunicorn knows."""
        for kind, capacity in CAPACITIES.items():
            threads = ThreadPoolExecutor(capacity.threads, kind.value)
            self._queues[kind] = _Queue(threads, capacity.threads + capacity.waiting)
        return self._queues[RequestClass.USUAL].threads

    def handle_exit(self, sig: int, frame: object) -> None:
        """End when all requests are answered; streams and waits end at once."""
        end_waits()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: object) -> None:
        """End now; a stream keeps no thread, and no thread keeps the process."""
        end_waits()
        super().handle_quit(sig, frame)

    def run(self) -> None:
        """Serve until the worker has to end."""
        super().run()
        for queue in self._queues.values():
            queue.threads.shutdown(wait=False)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its first request."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, client, address, listener.getsockname())
        self._await(conn, HEAD_S, self._receive_more)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Read the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await(conn, HEAD_S, self._receive_more)

    def enqueue_req(self, conn: Connection) -> None:
        """Go on with the next request, of which gunicorn has read something with the last one."""
        conn.received += conn.parser.unreader.take_buffered()
        self._await(conn, HEAD_S, self._receive_more)
        self._look(conn)

    def murder_pending(self) -> None:
        """Close connections that are too slow."""
        now = time.monotonic()
        for conn in [conn for conn in self._awaited if conn.deadline <= now]:
            self._drop(conn)
        self._give_up_answers()

    def _cap_keepalive(self, deadline: float) -> None:
        """Close every connection without a request at `deadline`: the worker ends."""
        super()._cap_keepalive(deadline)
        for conn in self._awaited:
            if not conn.sock.unsent:
                conn.deadline = min(conn.deadline, deadline)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Keep the connection for its next request, or hang up without waiting in the loop."""
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._hang_up(conn, HANG_UP_S)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Return whether the connection can be kept; a body that nobody read is not awaited."""
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + DRAIN_S))

    def _await(
        self,
        conn: Connection,
        seconds: float,
        go_on: Callable[[Connection], None],
        event: int = EVENT_READ,
    ) -> None:
        """Call `go_on` whenever the client has sent or read something; OSError, ValueError."""
        conn.sock.setblocking(False)
        if not self.alive and not conn.sock.unsent:
            seconds = min(seconds, STOP_KEEPALIVE_LINGER)
        self.poller.register(conn.sock, event, partial(self._on_ready, conn, go_on))
        conn.deadline = time.monotonic() + seconds
        self._awaited[conn] = None
        if len(self._awaited) > self.worker_connections * AWAITED:
            self._drop(next(iter(self._awaited)))

    def _on_ready(
        self, conn: Connection, go_on: Callable[[Connection], None], _client: socket.socket
    ) -> None:
        """Go on, unless the connection was dropped since the poller saw the event."""
        if conn in self._awaited:
            go_on(conn)

    def _receive_more(self, conn: Connection) -> None:
        piece = _receive(conn.sock)
        if piece:
            conn.received += piece
            self._look(conn)
        elif piece is not None:
            self._close(conn)

    def _look(self, conn: Connection) -> None:
        """Give the request to a thread of its class, if it has come."""
        try:
            kind = conn.look(self.wsgi)
        except HeadTooLargeError:
            self._refuse(conn, _TOO_LARGE)
            return
        if kind is None:
            return
        queue = self._queues[kind]
        if queue.taken >= queue.most:
            self._refuse(conn, _BUSY)
            return
        self._forget(conn)
        conn.hand_over()
        queue.taken += 1
        future = queue.threads.submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self._finish, queue, conn, done)
        )

    def _finish(self, queue: _Queue, conn: Connection, done: "Future[Any]") -> None:
        """Finish a request, once the client has read the whole answer."""
        queue.taken -= 1
        if not conn.sock.unsent:
            self.finish_request(conn, done)
            return
        try:
            conn.pace = Pace()
            go_on = partial(self._send_more, done)
            self._await(conn, client_socket.STALL_S, go_on, EVENT_WRITE)
        except (OSError, ValueError):  # the thread has closed it
            self.nr_conns -= 1
            conn.close()
        self._give_up_answers()

    def _give_up_answers(self) -> None:
        """Keep what waits for its readers in bounds; the newest answer always stays."""
        readers = [reader for reader in self._awaited if reader.sock.unsent]
        self._keep_within(MAX_UNREAD, [reader for reader in readers if reader.pace.is_slow()])
        self._keep_within(MAX_UNSENT, [reader for reader in readers if reader in self._awaited])

    def _keep_within(self, most: int, readers: list[Connection]) -> None:
        total = sum(reader.sock.kept for reader in readers)
        for reader in readers[:-1]:
            if total > most:
                total -= reader.sock.kept
                self._close(reader)

    def _send_more(self, done: "Future[Any]", conn: Connection) -> None:
        try:
            sent = conn.sock.send_more()
        except OSError:
            self._close(conn)
            return
        conn.pace.note(sent)
        if sent:
            conn.deadline = time.monotonic() + client_socket.STALL_S
        if not conn.sock.unsent:
            self._forget(conn)
            self.finish_request(conn, done)

    def _refuse(self, conn: Connection, answer: bytes) -> None:
        """Answer a request that no thread will serve."""
        with suppress(OSError):
            conn.sock.send(answer)
        conn.received.clear()
        self._forget(conn)
        self._hang_up(conn, BODY_S)

    def _hang_up(self, conn: Connection, seconds: float) -> None:
        """Let the client read the answer to its end: an instant close might cut it off."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._await(conn, seconds, self._drain)
        except (OSError, ValueError):
            self.nr_conns -= 1
            conn.close()

    def _drain(self, conn: Connection) -> None:
        if _receive(conn.sock) == b"":
            self._close(conn)

    def _drop(self, conn: Connection) -> None:
        if conn.received:
            with suppress(OSError):
                conn.sock.send(_TOO_SLOW)
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: Connection) -> None:
        del self._awaited[conn]
        self.poller.unregister(conn.sock)


def _receive(client: socket.socket) -> bytes | None:
    """Return what has come; None if nothing has, nothing if the client is gone."""
    try:
        return client.recv(64 * 1024)
    except BlockingIOError:
        return None
    except OSError:
        return b""
