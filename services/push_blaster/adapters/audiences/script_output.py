"""The output of a script, line by line as it comes; too much output is cut, with a note."""

from collections import deque
from collections.abc import Callable
from typing import Final

MAX_LINE: Final = 2_000
MAX_LINES: Final = 1_000
TAIL_LINES: Final = 30

OnLine = Callable[[str, str], None]


class OutputLines:
    """One output of a script: the first `MAX_LINES` lines are passed on as they end.

    Shape: `tail` has the last lines, passed on or not. Memory does not grow with the output.
    """

    def __init__(self, name: str, on_line: OnLine) -> None:
        """Take the output's name, and the function that gets every line."""
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._on_line = on_line
        self._line = b""
        self._length = 0
        self._lines = 0

    def feed(self, piece: bytes) -> None:
        """Take the next piece of output."""
        *ends, rest = piece.split(b"\n")
        for end in ends:
            self._add(end)
            self._emit()
        self._add(rest)

    def close(self) -> None:
        """Pass on the last line, if it has no end, and the number of lines that were left out."""
        if self._length:
            self._emit()
        if self._lines > MAX_LINES:
            text = f"… {self._lines - MAX_LINES} more lines were written and are not kept."
            self._on_line(self.name, text)

    def _add(self, piece: bytes) -> None:
        self._length += len(piece)
        self._line += piece[: 4 * MAX_LINE - len(self._line)]

    def _emit(self) -> None:
        text = self._line.decode(errors="replace").rstrip("\r")
        if self._length > len(self._line) or len(text) > MAX_LINE:
            text = f"{text[:MAX_LINE]} … ({self._length} bytes in all)"
        self._line, self._length = b"", 0
        self.tail.append(text)
        self._lines += 1
        if self._lines <= MAX_LINES:
            self._on_line(self.name, text)
