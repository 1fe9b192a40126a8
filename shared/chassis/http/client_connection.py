"""A connection of a client, and what it has sent of its next request."""

import re
import socket
import time
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

from flask import Flask
from gunicorn import http
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

from chassis.client_disconnects import SlowClientError
from chassis.http.client_socket import ClientSocket, Pace
from chassis.http.framing import Body
from chassis.http.request_classes import MAX_BUFFERED, RequestClass, find_class

MAX_HEAD: Final = 64 * 1024
#: How long a client may take for a body that is awaited.
BODY_S: Final = 20.0
_EXPECT: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)


class HeadTooLargeError(Exception):
    """The head of a request is larger than any that we need."""


class _PatientUnreader(SocketUnreader):  # type: ignore[misc]  # gunicorn ships no types
    """Reads the rest of a large body, as long as it comes fast enough.

    The time counts from the first read on: before it, the request waits for a thread.
    """

    def begin(self) -> None:
        self._pace: Pace | None = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        self._pace = self._pace or Pace()
        self._pace.begin_wait()
        before, left_s = self.sock.gettimeout(), self._pace.left_s()
        if not left_s:
            raise SlowClientError("The body came too slowly.")
        self.sock.settimeout(min(left_s, before or left_s))
        try:
            piece: bytes = super().chunk(size_hint)
        except TimeoutError as error:
            raise SlowClientError("The body came too slowly.") from error
        finally:
            self.sock.settimeout(before)
        self._pace.note(len(piece))
        return piece


class Connection(TConn):  # type: ignore[misc]  # gunicorn ships no types
    """A connection, what it has sent of its next request, and until when it has to do more."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        """Take an accepted socket, and the addresses of client and server."""
        super().__init__(cfg, ClientSocket(sock), client, server)
        self.received = bytearray()
        self.deadline = 0.0
        #: How fast the client reads what waits for it.
        self.pace = Pace()
        self.parser = http.get_parser(cfg, self.sock, client)
        self.parser.unreader = _PatientUnreader(self.sock)
        self.data_ready = True
        #: What the head says, once it has come.
        self._body: Body | None = None
        self._method = self._path = ""

    def look(self, app: Flask) -> RequestClass | None:
        """Return the class of the request once it can be served; None before.

        Raises: HeadTooLargeError.
        """
        body = self._body or self._read_head()
        if body is None:
            return None
        size = body.size(self.received)
        if size <= MAX_BUFFERED and not body.has_come(self.received):
            return None
        return find_class(app, self._method, self._path, size)

    def hand_over(self) -> None:
        """Let gunicorn's parser have what was received."""
        self.parser.unreader.begin()
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()
        self._body = None

    def _read_head(self) -> Body | None:
        """Find out what the request is, and how much of it has to come before it is served."""
        end = self.received.find(b"\r\n\r\n")
        if max(end, len(self.received) if end < 0 else 0) > MAX_HEAD:
            raise HeadTooLargeError
        if end < 0:
            return None
        head = bytes(self.received[: end + 2])
        self._method, _, rest = head.decode("latin-1").partition(" ")
        self._path = unquote(re.split(r"[\s?#]", rest, maxsplit=1)[0])
        self._body = Body(head)
        is_small = self._body.size(self.received) <= MAX_BUFFERED
        if is_small and not self._body.has_come(self.received):
            self._ask_for_body(head)
        return self._body

    def _ask_for_body(self, head: bytes) -> None:
        """Give the body its time, and answer a client that waits to be asked for it."""
        self.deadline = time.monotonic() + BODY_S
        expects = _EXPECT.search(head)
        if expects:
            del self.received[expects.start() : expects.end()]
            self._body = Body(head[: expects.start()] + head[expects.end() :])
            with suppress(OSError):
                self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
