"""What earlier attempts at an audience left on this machine: processes, and files."""

import os
import shutil
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

from push_blaster.adapters.audiences.script_files import RUNNING, Workplace

#: How long a launcher has to end its script and everything that the script started.
END_S: Final = 6.0
LOOK_S: Final = 0.05


def remove_attempts(data_folder: Path, attempts: Iterable[Path], runs: Iterable[UUID]) -> int:
    """Remove attempts and runs of scripts; return how many of their processes were ended.

    Afterwards no process of them runs on this machine, whoever started it.
    """
    attempts = list(attempts)
    workplaces = [data_folder / RUNNING / str(run_id) for run_id in runs]
    ended = end_processes([*workplaces, *(attempt / "output" for attempt in attempts)])
    for folder in workplaces:
        with suppress(FileNotFoundError):
            Workplace.find(folder).remove()
    for attempt in attempts:
        shutil.rmtree(attempt, ignore_errors=True)
    return ended


def end_processes(folders: Iterable[Path]) -> int:
    """End all processes of this machine that work for one of `folders`; return their number.

    A script, its launcher and the process of a preparation know their folder as OUTPUT_PATH, and
    so do the processes that they start. A launcher gets the time to end all that its script began.
    """
    marks = [b"OUTPUT_PATH=" + os.fsencode(folder) for folder in folders]
    found = left = _find(marks)
    give_up_at = time.monotonic() + END_S
    _signal(found, signal.SIGTERM)
    while left and time.monotonic() < give_up_at:
        time.sleep(LOOK_S)
        left = _find(marks)
    _signal(left, signal.SIGKILL)
    return len(found)


def _find(marks: Collection[bytes]) -> set[int]:
    """Return the processes with one of `marks` in their environment, as far as we may look."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if not set(marks).isdisjoint((process / "environ").read_bytes().split(b"\0")):
                found.add(int(process.name))
    return found - {os.getpid()}


def _signal(processes: set[int], number: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
