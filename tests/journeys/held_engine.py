"""Run as a program: an engine whose interpreter stands still for HELD_S seconds after SIGUSR2.

No thread of it runs Python meanwhile, as with a library that keeps the interpreter's lock.
"""

import ctypes
import os
import signal

from push_blaster.cli import main

HELD = round(float(os.environ.get("HELD_S", "20")))


def hold(*_: object) -> None:
    """Sleep as a function of C that does not give the lock back."""
    ctypes.PyDLL(None).sleep(HELD)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, hold)
    main(["engine"])
