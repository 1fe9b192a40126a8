"""The process that works on large audiences for an engine: `python -m push_blaster.prepare`.

Arguments: the descriptor of the pipe to the engine, the engine's pid, and megabytes of memory. It
takes one piece of work after the other from the pipe, tells how far it is, and ends with the pipe.
"""

import ctypes
import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
MEGABYTE: Final = 1024 * 1024
#: The least time between two reports.
REPORT_S: Final = 0.2


def main() -> None:
    """Do what the engine asks for, until the engine closes the pipe or dies."""
    descriptor, engine_pid, memory_mb = map(int, sys.argv[1:])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != engine_pid:
        sys.exit("The engine that started this process is gone.")
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb * MEGABYTE, memory_mb * MEGABYTE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe = Connection(descriptor)
    while True:
        try:
            work, args, kwargs = pipe.recv()
            pipe.send(_do(work, _Reports(pipe).send, *args, **kwargs))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            sys.exit()


def _do(work: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, object]:
    try:
        return "result", work(*args, **kwargs)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001 - the engine raises it again
        return ("memory", None) if _lacks_memory(error) else ("error", error)


def _lacks_memory(error: Exception) -> bool:
    """Return whether memory was too small; orjson says so only in words."""
    is_refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or is_refused or "Not enough memory" in str(error)


class _Reports:
    """Tells the engine how far the work is, a few times a second."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sent_at = 0.0

    def send(self, stage: str, rows: int) -> None:
        if time.monotonic() - self._sent_at >= REPORT_S:
            self._pipe.send(("progress", (stage, rows)))
            self._sent_at = time.monotonic()


if __name__ == "__main__":
    main()
