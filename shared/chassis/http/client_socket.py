"""The socket of a client who may read slowly, and how slow a client may be."""

import errno
import select
import socket
import struct
import time
from typing import Any, Final

#: How long a body or the reader of an answer may stand still, and how fast it has to be in all.
STALL_S: Final = 20.0
BYTES_A_SECOND: Final = 64 * 1024
#: How far behind that a client is slow.
GRACE_S: Final = 2.0


class Pace:
    """The progress of a client from now on, and until when more has to follow."""

    def __init__(self) -> None:
        self._begun = self._last = self._noted = time.monotonic()
        self._count = 0

    def begin_wait(self) -> None:
        """Leave out the time since the last note: the server was busy, the client was not slow."""
        busy_s = time.monotonic() - self._noted
        self._begun += busy_s
        self._last += busy_s

    def note(self, size: int) -> None:
        """Count bytes that came or went; nothing is no progress."""
        self._noted = time.monotonic()
        self._count += size
        if size:
            self._last = self._noted

    def left_s(self) -> float:
        """Return how many seconds are left until more has to follow, at least 0."""
        return max(0.0, STALL_S - max(self._behind_s(), time.monotonic() - self._last))

    def is_slow(self) -> bool:
        """Return whether the client is slower than it has to be in the end."""
        return self._behind_s() > GRACE_S

    def _behind_s(self) -> float:
        return time.monotonic() - self._begun - self._count / BYTES_A_SECOND


class ClientSocket(socket.socket):
    """Keeps what the client has not read yet, so that no thread has to wait for the client.

    Shape: only one piece of an answer is kept. A piece that follows it waits, for as long as the
    client reads fast enough.
    """

    def __init__(self, accepted: socket.socket) -> None:
        """Take over an accepted socket."""
        family, kind, proto = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, proto, fileno=accepted.detach())
        self.unsent = memoryview(b"")
        self._pace: Pace | None = None
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(STALL_S), 0))
        # A small answer fits into the buffer of the system, however slowly the client reads.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)

    @property
    def kept(self) -> int:
        """The memory of what waits for the client: all of a piece, until the last byte is sent."""
        return len(self.unsent.obj) if self.unsent else 0  # type: ignore[arg-type]  # bytes

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002 - as every socket
        """Send what fits at once, and keep the rest; BrokenPipeError if the client is too slow."""
        while self.unsent:
            self._pace = self._pace or Pace()
            self._wait(self._pace)
            self._pace.note(self.send_more())
        self.unsent = memoryview(data)
        sent = self.send_more()
        if self._pace:
            self._pace.note(sent)
        if not self.unsent:
            self._pace = None

    def send_more(self) -> int:
        """Send what fits at once, and return its size; OSError if the client is gone."""
        try:
            sent = self.send(self.unsent, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        self.unsent = self.unsent[sent:]
        return sent

    def _wait(self, pace: Pace) -> None:
        """Wait until the client has read something."""
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        pace.begin_wait()
        left_s = pace.left_s()
        if not left_s or not poll.poll(left_s * 1_000):
            self.unsent = memoryview(b"")
            raise BrokenPipeError(errno.EPIPE, "The client reads the answer too slowly.")
