"""Client disconnects: when a client hangs up, the statements that work for it are cancelled."""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: How often the sockets of running requests are checked, in seconds.
CHECK_EVERY_S: Final = 0.25


class ClientGoneError(Exception):
    """The client has hung up, so nobody waits for the answer."""


class _Connection(Protocol):
    def cancel(self) -> None: ...


@dataclass(eq=False, slots=True)
class RunningRequest:
    """The socket of a client, and the database connections that work for its request."""

    socket: socket.socket
    connections: set[_Connection] = field(default_factory=set)
    is_disconnected: bool = False

    def cancel_if_disconnected(self) -> None:
        """Cancel the statements of this request if its client has hung up."""
        if not self.is_disconnected and _has_hung_up(self.socket):
            self.is_disconnected = True
            for connection in list(self.connections):
                connection.cancel()


_current: ContextVar[RunningRequest | None] = ContextVar("request", default=None)


@contextmanager
def working_for_client(connection: _Connection) -> Iterator[None]:
    """Cancel statements of `connection` when the client of the present request hangs up.

    Raises: ClientGoneError instead of the error of a statement that was cancelled so.
    """
    request = _current.get()
    if request is None:
        yield
        return
    if request.is_disconnected:
        raise ClientGoneError
    request.connections.add(connection)
    try:
        yield
    except Exception as error:
        if request.is_disconnected:
            raise ClientGoneError from error
        raise
    finally:
        request.connections.discard(connection)


class DisconnectWatch:
    """WSGI middleware that watches the clients of running requests, in one thread."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Take the app whose clients are watched."""
        self._app = app
        self._running: set[RunningRequest] = set()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Run the request, and let `working_for_client` know its socket until it has answered."""
        client = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
        if client is None:
            return self._app(environ, start_response)
        request = RunningRequest(client)
        self._add(request)
        token = _current.set(request)
        try:
            return self._app(environ, start_response)
        finally:
            _current.reset(token)
            with self._lock:
                self._running.discard(request)

    def _add(self, request: RunningRequest) -> None:
        with self._lock:
            self._running.add(request)
            # The first request starts the thread: gunicorn forks its workers after making the app.
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(CHECK_EVERY_S):
            with self._lock:
                running = list(self._running)
            for request in running:
                request.cancel_if_disconnected()


def _has_hung_up(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
