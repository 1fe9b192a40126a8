"""Client disconnects: when a client hangs up, the statements that work for it are cancelled."""

import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: How often the sockets of running requests are checked, in seconds.
CHECK_EVERY_S: Final = 0.25


class ClientGoneError(Exception):
    """The client has hung up, so nobody waits for the answer."""


class SlowClientError(Exception):
    """The client sends the body of its request too slowly.

    It is no OSError, which the reader of bodies would take for a client that has hung up.
    """


class _Connection(Protocol):
    def cancel(self) -> None: ...


@dataclass(eq=False, slots=True)
class RunningRequest:
    """The socket of a client, and the database connections that work for its request."""

    socket: socket.socket
    connections: set[_Connection] = field(default_factory=set)
    is_disconnected: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cancel_if_disconnected(self) -> None:
        """Cancel what runs for this request if its client has hung up.

        Every check does so again: a statement that begins between two checks is cancelled, too.
        """
        self.is_disconnected = self.is_disconnected or _has_hung_up(self.socket)
        with self.lock:  # a connection that works for somebody else again is not cancelled
            for connection in self.connections if self.is_disconnected else ():
                connection.cancel()

    def add(self, connection: _Connection) -> None:
        """Let `connection` work for this request."""
        with self.lock:
            self.connections.add(connection)

    def remove(self, connection: _Connection) -> None:
        """Note that `connection` does not work for this request any more."""
        with self.lock:
            self.connections.discard(connection)


_current: ContextVar[RunningRequest | None] = ContextVar("request", default=None)


def watch_client(environ: "WSGIEnvironment") -> Callable[[], bool]:
    """Return a function that says whether the client of a stream has hung up."""
    client = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    return partial(_has_hung_up, client) if client else lambda: False


def raise_if_client_gone() -> None:
    """Raise ClientGoneError if the client of the present request has hung up."""
    request = _current.get()
    if request is not None and request.is_disconnected:
        raise ClientGoneError


@contextmanager
def working_for_client(connection: _Connection) -> Iterator[None]:
    """Cancel statements of `connection` when the client of the present request hangs up.

    Raises: ClientGoneError instead of the error of a statement that was cancelled so.
    """
    request = _current.get()
    if request is None:
        yield
        return
    raise_if_client_gone()
    request.add(connection)
    try:
        yield
    except Exception as error:
        if request.is_disconnected:
            raise ClientGoneError from error
        raise
    finally:
        request.remove(connection)


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
    """Return whether the client has stopped sending, even if some of its bytes are unread."""
    poll = select.poll()
    try:
        poll.register(client, getattr(select, "POLLRDHUP", select.POLLHUP))
    except (OSError, ValueError):
        return True
    return bool(poll.poll(0))
