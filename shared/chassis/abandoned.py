"""Requests whose client has gone: their statements are ended, so that nobody waits in vain."""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: How often the sockets of running requests are looked at, in seconds.
LOOK_EVERY: Final = 0.25


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class _Connection(Protocol):
    def cancel(self) -> None: ...


@dataclass(eq=False, slots=True)
class Request:
    """A request that runs: its client's socket, and the database connections that work for it."""

    socket: socket.socket
    connections: set[_Connection] = field(default_factory=set)
    is_abandoned: bool = False

    def look(self) -> None:
        """End what works for the client if it has hung up."""
        if not self.is_abandoned and _has_hung_up(self.socket):
            self.is_abandoned = True
            for connection in list(self.connections):
                connection.cancel()


_current: ContextVar[Request | None] = ContextVar("request", default=None)


@contextmanager
def working_for_client(connection: _Connection) -> Iterator[None]:
    """Let statements of `connection` be ended if the client of the present request goes.

    Raises: ClientGoneError instead of whatever a statement raises because it was ended so.
    """
    request = _current.get()
    if request is None:
        yield
        return
    if request.is_abandoned:
        raise ClientGoneError
    request.connections.add(connection)
    try:
        yield
    except Exception as error:
        if request.is_abandoned:
            raise ClientGoneError from error
        raise
    finally:
        request.connections.discard(connection)


class AbandonedRequests:
    """WSGI middleware that watches the clients of running requests, from one thread."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Take the app whose clients are to be watched."""
        self._app = app
        self._running: set[Request] = set()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Run the request, known to `working_for_client` until it has answered."""
        client = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
        if client is None:
            return self._app(environ, start_response)
        request = Request(client)
        self._watch(request)
        token = _current.set(request)
        try:
            return self._app(environ, start_response)
        finally:
            _current.reset(token)
            with self._lock:
                self._running.discard(request)

    def _watch(self, request: Request) -> None:
        with self._lock:
            self._running.add(request)
            # Not before the first request: gunicorn forks its workers after the app is made.
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._look_on, daemon=True)
                self._watcher.start()

    def _look_on(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_EVERY):
            with self._lock:
                running = list(self._running)
            for request in running:
                request.look()


def _has_hung_up(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
