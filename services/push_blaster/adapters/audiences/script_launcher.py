"""Run as a program: start the script within its limits, and end everything that it started.

The launcher is a separate program for two reasons. Limits may not be set between fork and exec of a
process with threads. And orphans of the script become the launcher's children, so it can end
everything that the script started, in any session: when the script ends, when the launcher gets
SIGTERM, and when the engine dies. Arguments: the engine's pid, the user that the script runs as (""
for the engine's user), megabytes of memory and of a file, seconds of CPU time, the folder in which
the script runs, the script, the script's own arguments.
"""

import contextlib
import ctypes
import os
import pwd
import resource
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
MEGABYTE = 1024 * 1024
OPEN_FILES = 256
#: For how long processes that start new processes are killed again and again.
END_LIMIT_S = 5.0


def main() -> None:
    """Run the script; end with its exit code or signal."""
    engine_pid, user, memory, file_size, cpu_s, folder, *command = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != int(engine_pid):
        sys.exit("The engine that started this script is gone.")
    script = os.fork()
    if script == 0:
        _limit(int(memory) * MEGABYTE, int(file_size) * MEGABYTE, int(cpu_s))
        _become(command, user, Path(folder))
    try:
        status = _wait_for(script)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end_descendants()
    _end_like(status)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


def _limit(memory: int, file_size: int, cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # SIGXCPU first, then SIGKILL
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _become(command: list[str], user: str, folder: Path) -> None:
    """Replace this process by the script, in its folder; it dies with the launcher."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if user:
        _change_to(user, Path(command[0]), folder)
    os.chdir(folder)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)  # the capability to change users ends here,
    _prctl(PR_SET_NO_NEW_PRIVS, 1)  # and no setuid program gives it back
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # must come last, because a change of user resets it
    os.execv(sys.executable, [sys.executable, "-u", "-X", "faulthandler", *command])  # noqa: S606


def _change_to(name: str, script: Path, folder: Path) -> None:
    """Become that user for good, or end with an error."""
    account = pwd.getpwnam(name)
    try:
        os.initgroups(name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except PermissionError:
        sys.exit(
            f"The script may not run as {name!r} (PUSH_SCRIPT_USER): run the engine as root, or "
            "give it CAP_SETUID, CAP_SETGID, CAP_CHOWN and CAP_KILL."
        )
    python = Path(sys.executable)
    for verb, path, mode in (
        ("run", python, os.X_OK),
        ("read", script, os.R_OK),
        ("write to", folder, os.W_OK),
    ):
        if not os.access(path, mode):
            sys.exit(
                f"{name!r} (PUSH_SCRIPT_USER) may not {verb} {path}; let it, and let it pass "
                "through the folders above."
            )


def _wait_for(script: int) -> int:
    """Return how the script ended; reap its orphans meanwhile."""
    while True:
        pid, status = os.wait()
        if pid == script:
            return status


def _end_descendants() -> None:
    """Kill until nothing is left: the orphans of what is killed become our children."""
    give_up_at = time.monotonic() + END_LIMIT_S
    while time.monotonic() < give_up_at:
        for pid in _descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _descendants() -> set[int]:
    parents = dict(map(_read_parent, Path("/proc").glob("[0-9]*")))
    found: set[int] = set()
    newest = {os.getpid()}
    while newest:
        newest = {pid for pid, parent in parents.items() if parent in newest} - found
        found |= newest
    return found


def _read_parent(process: Path) -> tuple[int, int]:
    """Return a process and its parent; the name, in brackets, may contain anything."""
    try:
        state = (process / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return int(process.name), 0
    return int(process.name), int(state[1])


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
