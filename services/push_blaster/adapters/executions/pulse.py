"""The process that shows, in the engine's place, that the engine lives: see pulse_program.py."""

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson
import structlog

log = structlog.get_logger()

PROGRAM: Final = Path(__file__).with_name("pulse_program.py")


class Pulse:
    """The pulse of this engine; it ends with the engine, whatever ends the engine."""

    def __init__(self, database_url: str, engine_id: str) -> None:
        """Start the process."""
        self._first = {"database": database_url, "engine": engine_id}
        self._process = self._start()

    def answer(self, workers: Iterable[int]) -> None:
        """Say that the event loop answers, and which workers it has; never wait.

        A pulse that somebody has ended is started again.
        """
        if self._process.poll() is not None:
            log.warning("pulse_lost", code=self._process.returncode)
            self._process = self._start()
        line = orjson.dumps(sorted(workers)) + b"\n"
        with suppress(BlockingIOError, BrokenPipeError):  # a later line says the same
            os.write(self._process.stdin.fileno(), line)  # type: ignore[union-attr]  # a pipe

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", str(PROGRAM)], stdin=subprocess.PIPE, bufsize=0
        )
        if process.stdin:
            process.stdin.write(orjson.dumps(self._first) + b"\n")
            os.set_blocking(process.stdin.fileno(), False)
        return process
