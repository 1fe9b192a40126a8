"""The worker of gunicorn that answers for health even while all its threads are busy."""

import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from gunicorn.workers.gthread import (  # type: ignore[import-untyped]  # ships no types
    TConn,
    ThreadWorker,
)

#: How many threads wait for such requests alone.
THREADS: Final = 2
#: How requests begin that a supervisor, a load balancer or monitoring sends.
_FIRST: Final = (b"GET /health", b"GET /api/health", b"GET /metrics")
_LONGEST: Final = max(map(len, _FIRST))


class HealthFirst(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """A threaded worker with threads apart for the requests of monitoring."""

    def init_process(self) -> None:
        """Start, with the threads apart."""
        self.apart = ThreadPoolExecutor(THREADS)
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection with a request to a thread; without one it waits on the poller."""
        begins = _peek(conn.sock)
        if begins is None and not conn.initialized:
            self._wait_for_request(conn)
            return
        pool = self.apart if (begins or b"").startswith(_FIRST) else self.tpool
        pool.submit(self.handle, conn).add_done_callback(
            lambda future: self.method_queue.defer(self.finish_request, conn, future)
        )

    def _wait_for_request(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        readable = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, readable)


def _peek(sock: Any) -> bytes | None:
    """Return how the request begins; None if nothing of it has arrived yet."""
    try:
        return bytes(sock.recv(_LONGEST, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return None
