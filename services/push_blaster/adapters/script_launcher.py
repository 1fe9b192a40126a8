"""Run as a program: bind ourselves to the engine's life and to a memory limit, become the script.

It is a program of its own because neither may be done between fork and exec of a process with
threads. Arguments: the engine's pid, megabytes, the script, the script's own arguments.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the limits, then replace this process by the script."""
    engine_pid, megabytes, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != int(engine_pid):
        sys.exit("The engine that started this script is gone.")
    limit = int(megabytes) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(sys.executable, [sys.executable, "-u", "-X", "faulthandler", *command])  # noqa: S606


if __name__ == "__main__":
    main()
