"""Shortages of an engine: room on its disk, file descriptors, processes, memory.

Such an error is no fault of a script or of an automation, and a later attempt may succeed.
"""

import errno
import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

#: How many file descriptors must be free before a script is started.
SPARE_DESCRIPTORS: Final = 24
MB: Final = 1024 * 1024

_FEW_DESCRIPTORS: Final = (
    "The engine has no file descriptors left; raise LimitNOFILE of its unit, or ulimit -n."
)
_FULL_DISK: Final = "The disk of the data folder (PUSH_DATA_DIR) is full; make room."
_SHORT_OF: Final[Mapping[int, str]] = {
    errno.ENOSPC: _FULL_DISK,
    errno.EDQUOT: "The quota of the data folder (PUSH_DATA_DIR) is used up; raise it.",
    errno.EMFILE: _FEW_DESCRIPTORS,
    errno.ENFILE: "The machine has no file descriptors left; raise fs.file-max.",
    errno.EAGAIN: "The engine may start no more processes; raise TasksMax and LimitNPROC.",
    errno.ENOMEM: "The machine has no memory left for another process; give it more.",
}


class ShortageError(Exception):
    """The engine is short of something; the message says of what, and which setting helps."""


def find_shortage(error: BaseException) -> str | None:
    """Return what the engine was short of, if this is the cause of `error`; else None."""
    for cause in _causes(error):
        if isinstance(cause, ShortageError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno and cause.errno in _SHORT_OF:
            return _SHORT_OF[cause.errno]
    return None


def check_supplies(folder: Path, min_free_mb: int) -> None:
    """Raise ShortageError unless the disk has room and descriptors are left."""
    check_room(folder, min_free_mb)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft - _count_descriptors() < SPARE_DESCRIPTORS:
        raise ShortageError(_FEW_DESCRIPTORS)


def check_room(folder: Path, min_free_mb: int) -> None:
    """Raise ShortageError if the disk of `folder` has less room than that."""
    free_mb = free_bytes(folder) // MB
    if free_mb < min_free_mb:
        raise ShortageError(
            f"The disk of the data folder (PUSH_DATA_DIR) has {free_mb} MB left, less than the "
            f"{min_free_mb} MB that it needs (PUSH_MIN_FREE_MB); make room."
        )


def free_bytes(folder: Path) -> int:
    """Return how much a process without privileges may still write to the disk of `folder`."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _count_descriptors() -> int:
    with suppress(FileNotFoundError):  # only Linux has it
        return len(list(Path("/proc/self/fd").iterdir()))
    return 0


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
