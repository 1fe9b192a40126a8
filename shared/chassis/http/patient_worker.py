"""The worker of gunicorn for both services: it waits for slow clients without a thread.

gunicorn's own worker gives a connection to a thread as soon as it sends something, and the thread
waits for the rest. This one reads a request in its event loop, up to a size and a time, and gives
the whole request to a thread of its class.
"""

import re
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any, Final
from urllib.parse import unquote

from flask import Flask
from gunicorn import http
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from chassis.client_disconnects import SlowClientError
from chassis.http.request_classes import THREADS, RequestClass, find_class

#: A request with a larger body is of the class LARGE, and is read by its thread.
MAX_BUFFERED: Final = 128 * 1024
MAX_HEAD: Final = 64 * 1024
#: The part of a worker's connections that may be awaited; beyond it the oldest is closed.
AWAITED: Final = 0.6
#: How long a client may take for the head of a request, for a small body, and for hanging up.
HEAD_S: Final = 10.0
BODY_S: Final = 20.0
HANG_UP_S: Final = 2.0
#: How long a thread waits for the rest of a body that nobody read, to keep the connection.
DRAIN_S: Final = 0.01
#: How long a large body or the reader of an answer may stand still, and how fast a body has to be.
STALL_S: Final = 20.0
BYTES_A_SECOND: Final = 64 * 1024
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_FRAMING: Final = re.compile(
    rb"\r\n(?:content-length|transfer-encoding):[ \t]*([^\r\n]*)", re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"(\d{1,18})[ \t]*")
_EXPECT: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)


class _PatientUnreader(SocketUnreader):  # type: ignore[misc]  # gunicorn ships no types
    """Reads the rest of a large body, as long as it comes fast enough.

    The time counts from the first read on: before it, the request waits for a thread.
    """

    def begin(self) -> None:
        self._begun: float | None = None
        self._count = 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        if self._begun is None:
            self._begun = time.monotonic()
        limit = self._begun + STALL_S + self._count / BYTES_A_SECOND - time.monotonic()
        before = self.sock.gettimeout()
        if limit <= 0:
            raise SlowClientError("The body came too slowly.")
        self.sock.settimeout(min(limit, STALL_S, before or STALL_S))
        try:
            piece: bytes = super().chunk(size_hint)
        except TimeoutError as error:
            raise SlowClientError("The body came too slowly.") from error
        finally:
            self.sock.settimeout(before)
        self._count += len(piece)
        return piece


class _Connection(TConn):  # type: ignore[misc]  # gunicorn ships no types
    """A connection, what it has sent of its next request, and until when it has to send more."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.received = bytearray()
        self.deadline = 0.0
        self.parser = http.get_parser(cfg, sock, client)
        self.parser.unreader = _PatientUnreader(sock)
        self.data_ready = True
        #: What the head says, once it has come: the class, and the size of the whole request.
        self._kind: RequestClass | None = None
        self._size = 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(STALL_S), 0))
        # A small answer fits into the buffer of the system, however slowly the client reads.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)

    def look(self, app: Flask) -> RequestClass | None:
        """Return the class of the request; None while it has not come yet."""
        if self._kind is None:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return RequestClass.LARGE if len(self.received) > MAX_HEAD else None
            self._read_head(app, bytes(self.received[: end + 2]))
        return self._kind if len(self.received) >= self._size else None

    def hand_over(self) -> None:
        """Let gunicorn's parser have what was received."""
        self.parser.unreader.begin()
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()
        self._kind, self._size = None, 0

    def _read_head(self, app: Flask, head: bytes) -> None:
        """Find out what the request is, and how much of it has to come before it is served."""
        body = _read_length(head)
        if body is None or body > MAX_BUFFERED:
            self._kind = RequestClass.LARGE
            return
        method, _, rest = head.decode("latin-1").partition(" ")
        path = unquote(re.split(r"[\s?#]", rest, maxsplit=1)[0])
        self._kind, self._size = find_class(app, method, path), len(head) + 2 + body
        if len(self.received) < self._size:
            self._ask_for_body(head)

    def _ask_for_body(self, head: bytes) -> None:
        """Give the body its time, and answer a client that waits to be asked for it."""
        self.deadline = time.monotonic() + BODY_S
        expects = _EXPECT.search(head)
        if expects:
            del self.received[expects.start() : expects.end() - 2]
            self._size -= expects.end() - 2 - expects.start()
            with suppress(OSError):
                self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """A worker with threads, which serve only requests that have come."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what gunicorn gives to a worker."""
        super().__init__(*args, **kwargs)
        #: The connections of which something is awaited, oldest first.
        self._awaited: dict[_Connection, None] = {}
        self._pools: dict[RequestClass, ThreadPoolExecutor] = {}

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Make the threads of every class; return those that gunicorn knows."""
        self._pools = {kind: ThreadPoolExecutor(n, kind.value) for kind, n in THREADS.items()}
        return self._pools[RequestClass.USUAL]

    def run(self) -> None:
        """Serve until the worker has to end."""
        super().run()
        for pool in self._pools.values():
            pool.shutdown(wait=False)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its first request."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = _Connection(self.cfg, client, address, listener.getsockname())
        self._await(conn, HEAD_S, self._receive_more)

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """Read the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await(conn, HEAD_S, self._receive_more)

    def enqueue_req(self, conn: _Connection) -> None:
        """Go on with the next request, of which gunicorn has read something with the last one."""
        conn.received += conn.parser.unreader.take_buffered()
        self._await(conn, HEAD_S, self._receive_more)
        self._look(conn)

    def murder_pending(self) -> None:
        """Close connections that are too slow."""
        now = time.monotonic()
        for conn in [conn for conn in self._awaited if conn.deadline <= now]:
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close every connection without a whole request at `deadline`: the worker ends."""
        super()._cap_keepalive(deadline)
        for conn in self._awaited:
            conn.deadline = min(conn.deadline, deadline)

    def finish_request(self, conn: _Connection, fs: Any) -> None:
        """Keep the connection for its next request, or hang up without waiting in the loop."""
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._hang_up(conn)

    def _keepalive_after(self, conn: _Connection, keepalive: bool) -> bool:
        """Return whether the connection can be kept; a body that nobody read is not awaited."""
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + DRAIN_S))

    def _await(
        self, conn: _Connection, seconds: float, read: Callable[[_Connection, Any], None]
    ) -> None:
        conn.sock.setblocking(False)
        conn.deadline = time.monotonic() + seconds
        self._awaited[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_readable, conn, read))
        if len(self._awaited) > self.worker_connections * AWAITED:
            self._drop(next(iter(self._awaited)))

    def _on_readable(
        self, conn: _Connection, read: Callable[[_Connection, Any], None], client: socket.socket
    ) -> None:
        """Read what has come, unless the connection was dropped since the poller saw that."""
        if conn in self._awaited:
            read(conn, client)

    def _receive_more(self, conn: _Connection, client: socket.socket) -> None:
        piece = _receive(client)
        if piece:
            conn.received += piece
            self._look(conn)
        elif piece is not None:
            self._close(conn)

    def _look(self, conn: _Connection) -> None:
        """Give the request to a thread of its class, if it has come."""
        kind = conn.look(self.wsgi)
        if kind is None:
            return
        self._forget(conn)
        conn.hand_over()
        future = self._pools[kind].submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def _hang_up(self, conn: _Connection) -> None:
        """Let the client read the answer to its end: an instant close might cut it off."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._await(conn, HANG_UP_S, self._drain)
        except (OSError, ValueError):
            self.nr_conns -= 1
            conn.close()

    def _drain(self, conn: _Connection, client: socket.socket) -> None:
        if _receive(client) == b"":
            self._close(conn)

    def _drop(self, conn: _Connection) -> None:
        if conn.received:
            with suppress(OSError):
                conn.sock.send(_TOO_SLOW)
        self._close(conn)

    def _close(self, conn: _Connection) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: _Connection) -> None:
        del self._awaited[conn]
        self.poller.unregister(conn.sock)


def _read_length(head: bytes) -> int | None:
    """Return the length of the body; None if the head does not say it in plain digits."""
    framing = _FRAMING.search(head)
    length = _LENGTH.fullmatch(framing[1]) if framing else None
    return int(length[1]) if length else None if framing else 0


def _receive(client: socket.socket) -> bytes | None:
    """Return what has come; None if nothing has, nothing if the client is gone."""
    try:
        return client.recv(64 * 1024)
    except BlockingIOError:
        return None
    except OSError:
        return b""
