"""Child processes that end with their parent."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Return a `preexec_fn` that sends a child `number` when its parent dies; None except on Linux.

    The kernel watches the thread that starts the child, so start children from the main thread.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))

    return ask_kernel


def stop_processes(processes: Sequence[subprocess.Popen[bytes]], limit_s: float) -> None:
    """Terminate `processes`, and kill the ones that still run after `limit_s`."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    give_up_at = time.monotonic() + limit_s
    for process in processes:
        try:
            process.wait(max(0.0, give_up_at - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
