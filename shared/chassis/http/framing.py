"""The framing of a request: how long its body is, and whether all of it has come."""

import re
import sys
from typing import Final

from chassis.http.request_classes import MAX_BUFFERED

_FRAMING: Final = re.compile(
    rb"\r\n(content-length|transfer-encoding):[ \t]*([^\r\n]*)", re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"0*(\d{1,18})")
_CHUNK: Final = re.compile(rb"[0-9a-fA-F]{1,8}")


class Body:
    """The body of a request while it comes.

    Of a body that is unclear, only the parser knows what to do with it: mostly, to refuse it.
    """

    def __init__(self, head: bytes) -> None:
        """Take the head, without the empty line at its end."""
        framing = [(name.lower(), value.strip().lower()) for name, value in _FRAMING.findall(head)]
        length = _LENGTH.fullmatch(framing[0][1]) if len(framing) == 1 else None
        self._is_chunked = framing == [(b"transfer-encoding", b"chunked")]
        self._is_unclear = bool(framing) and not self._is_chunked and not length
        self._size = int(length[1]) if length else 0
        self._begin = len(head) + 2
        #: Where the next chunk begins.
        self._next = self._begin

    def size(self, received: bytearray) -> int:
        """Return the size of the body, as far as it has come if it does not say its size before.

        What is unclear, or comes in chunks and goes on, may become as large as anything.
        """
        came = len(received) - self._begin
        if self._is_unclear or (self._is_chunked and came > MAX_BUFFERED):
            return sys.maxsize
        return came if self._is_chunked else self._size

    def has_come(self, received: bytearray) -> bool:
        """Return whether the whole body has come, or nobody can tell."""
        if self._is_chunked:
            return self._have_chunks_come(received)
        return self._is_unclear or len(received) >= self._begin + self._size

    def _have_chunks_come(self, received: bytearray) -> bool:
        while (end := received.find(b"\r\n", self._next)) >= 0:
            size = received[self._next : end].partition(b";")[0].strip()
            if not _CHUNK.fullmatch(size):
                self._is_unclear = True
                return True
            if not int(size, 16):
                return received.find(b"\r\n\r\n", end) >= 0
            self._next = end + 2 + int(size, 16) + 2
        return False
