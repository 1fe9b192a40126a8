"""Files of a script's folder: read without following links, without blocking, and in bounds.

The folder is somebody else's, so every name in it may be a trap. A file is opened once, below an
open folder, and judged by its descriptor. Readers get a copy that belongs to us.
"""

import ctypes
import errno
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final
from uuid import UUID, uuid4

#: The folder of the data folder in which scripts run; each script has its own folder in it.
RUNNING: Final = "running"
#: How deep a script may nest folders.
MAX_DEPTH: Final = 16
_PIECE: Final = 1024 * 1024
#: A disk with less room is full: a write failed that was larger.
FULL_BYTES: Final = 1024 * 1024
#: The number of names of a folder that are in memory at once, and the largest number of rounds.
_NAMES: Final = 1_000
_ROUNDS: Final = 10_000
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LIBC: Final = ctypes.CDLL(None)
_LIBC.setfsuid.argtypes, _LIBC.setfsuid.restype = [ctypes.c_uint], ctypes.c_uint
#: A uid of nobody: setfsuid changes nothing, and returns the uid in force.
_NOBODY: Final = 2**32 - 1


class ForeignFileError(OSError):
    """The name is no plain file of its owner; the message says what it is."""


class ScriptOutputError(Exception):
    """The files of a script are too many, too large, too deep, or out of reach."""


class ScriptUserError(ScriptOutputError):
    """The engine may not act as the user of scripts; this is no fault of the script."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """The folder in which a script runs; it belongs to the user of the script.

    Shape: `owner` is the uid of that user, which may be ours.
    """

    folder: Path
    owner: int

    @classmethod
    def make(cls, folder: Path, user: str | None) -> "Workplace":
        """Make the folder, which must not exist, for the system user `user`, or for us."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o711)  # others may pass through, and may not list it
        folder.mkdir(mode=0o700)
        if user:
            account = pwd.getpwnam(user)
            with suppress(PermissionError):  # the launcher says which capability is missing
                os.chown(folder, account.pw_uid, account.pw_gid)
        return cls.find(folder)

    @classmethod
    def find(cls, folder: Path) -> "Workplace":
        """Return the folder of a script that has begun."""
        return cls(folder, folder.lstat().st_uid)

    def check_size(self, most_files: int, most_mb: int) -> None:
        """Raise ScriptOutputError if the files are too many, too large, too deep or unreadable."""
        size = 0
        try:
            with self._opened() as folder, acting_as(self.owner):
                for number, (name, status) in enumerate(_walk(folder, 1), start=1):
                    _check_name(name)
                    _check_count(number, most_files)
                    size += status.st_size
        except PermissionError as error:
            raise ScriptOutputError(
                f"The script wrote the folder {error.filename!r}, which cannot be looked into. "
                "Leave the permissions of folders as they are."
            ) from error
        megabytes = size / 1024 / 1024
        if megabytes > most_mb:
            raise ScriptOutputError(
                f"The script wrote {megabytes:.0f} MB, more than the {most_mb} MB "
                "allowed (PUSH_SCRIPT_OUTPUT_MB)."
            )

    def collect(self, target: Path, is_wanted: Callable[[str], bool]) -> dict[str, str]:
        """Copy the wanted files into `target`, an empty folder of ours.

        Returns the wanted names that are no plain files of the script, each with the reason.
        """
        refused: dict[str, str] = {}
        with self._opened() as folder:
            with acting_as(self.owner):
                names = sorted(filter(is_wanted, os.listdir(folder)))  # noqa: PTH208 - of a descriptor
            for name in names:
                try:
                    self._take(folder, name, target)
                except ForeignFileError as error:
                    refused[name] = str(error)
                except PermissionError:
                    refused[name] = "cannot be read even by the user of the script"
        return refused

    def remove(self) -> None:
        """Remove the folder and everything in it; what cannot be removed is tried again later."""
        with suppress(OSError, ScriptOutputError):
            with self._opened() as folder, acting_as(self.owner):
                _empty(folder)
            self.folder.rmdir()

    def _take(self, folder: int, name: str, target: Path) -> None:
        if _CONTROL.search(name):
            raise ForeignFileError("has a control character in its name")
        with acting_as(self.owner):
            file = open_plain(name, self.owner, folder)
        with file, (target / name).open("xb") as copy:
            for piece in read_pieces(file):
                copy.write(piece)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with _open_folder(self.folder.parent) as parent:
            try:
                with acting_as(self.owner):
                    os.chmod(self.folder.name, 0o700, dir_fd=parent)
                    folder = os.open(self.folder.name, _FOLDER, dir_fd=parent)
            except FileNotFoundError as error:
                raise ScriptOutputError(
                    "The folder of the script was removed, because its run was taken for dead."
                ) from error
            try:
                yield folder
            finally:
                os.close(folder)


def find_full_disk(folder: Path) -> OSError | None:
    """Return ENOSPC if the disk of `folder` has no room, or no place for another file.

    The system says so, not the words of a script, which may speak of another disk.
    """
    found = os.statvfs(folder)
    has_places = found.f_favail > 0 or not found.f_files  # some file systems count none
    if has_places and found.f_bavail * found.f_frsize >= FULL_BYTES:
        return None
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def find_workplaces(data_folder: Path) -> dict[UUID, Workplace]:
    """Return the folders of scripts that run, or whose engines were killed, by run."""
    found = {}
    for folder in (data_folder / RUNNING).glob("*"):
        with suppress(FileNotFoundError, ValueError):
            found[UUID(folder.name)] = Workplace.find(folder)
    return found


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Let this thread, and no other thread, reach files with the rights of the uid `user`.

    Raises: ScriptUserError if the system does not allow it.
    """
    if user == os.geteuid():
        yield
        return
    before = _LIBC.setfsuid(user)
    if (
        _LIBC.setfsuid(_NOBODY) != user
    ):  # its own answer does not say whether it has changed the uid
        raise ScriptUserError(
            f"The engine may not open files as the user of scripts (PUSH_SCRIPT_USER), {user}: "
            "setfsuid was refused. Run the engine as root, or give it CAP_SETUID, and add setfsuid "
            "to the SystemCallFilter of its unit."
        )
    try:
        yield
    finally:
        _LIBC.setfsuid(before)


def open_plain(name: str | Path, owner: int | None = None, folder: int | None = None) -> IO[bytes]:
    """Open a regular file that belongs to `owner` (default: to us) and has no other name.

    Raises: ForeignFileError, OSError.
    """
    owner = os.geteuid() if owner is None else owner
    _check_plain(os.stat(name, dir_fd=folder, follow_symlinks=False), owner)
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        _check_plain(os.fstat(descriptor), owner)
    except ForeignFileError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the file as it is now; what is appended meanwhile is left out."""
    left = os.fstat(file.fileno()).st_size
    while left > 0 and (piece := file.read(min(_PIECE, left))):
        left -= len(piece)
        yield piece


def _check_plain(status: os.stat_result, owner: int) -> None:
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "a device")
        raise ForeignFileError(f"is {kind} and no regular file")
    if status.st_uid != owner:
        raise ForeignFileError("belongs to another user")
    if status.st_nlink != 1:
        raise ForeignFileError("has a second name (a hard link)")


def _check_count(number: int, most_files: int) -> None:
    if number > most_files:
        raise ScriptOutputError(
            f"The script wrote many files, more than the {most_files} allowed "
            "(PUSH_SCRIPT_OUTPUT_FILES)."
        )


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ScriptOutputError(
            f"The script wrote a file whose name is no text in UTF-8: {os.fsencode(name)!r}."
        ) from error


@contextmanager
def _open_folder(name: str | Path, parent: int | None = None) -> Iterator[int]:
    folder = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield folder
    finally:
        os.close(folder)


def _walk(folder: int, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every entry below the folder; an entry that vanishes meanwhile is left out."""
    if depth > MAX_DEPTH:
        raise ScriptOutputError(f"The script nested folders more than {MAX_DEPTH} deep.")
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError, NotADirectoryError):
                status = entry.stat(follow_symlinks=False)
                yield entry.name, status
                if stat.S_ISDIR(status.st_mode):
                    with _open_folder(entry.name, folder) as inner:
                        yield from _walk(inner, depth + 1)


def _empty(folder: int) -> None:
    """Remove everything in the folder; folders within are moved up, so depth does not matter."""
    for _ in range(_ROUNDS):
        entries = _first_entries(folder)
        if not entries:
            return
        for name, is_folder in entries:
            if is_folder:
                _remove_folder(name, folder)
            else:
                os.unlink(name, dir_fd=folder)


def _remove_folder(name: str, parent: int) -> None:
    """Remove a folder; folders within it are moved into `parent`."""
    os.chmod(name, 0o700, dir_fd=parent)
    with _open_folder(name, parent) as folder:
        for _ in range(_ROUNDS):
            entries = _first_entries(folder)
            for inner, is_folder in entries:
                if is_folder:
                    os.chmod(inner, 0o700, dir_fd=folder)
                    os.rename(inner, uuid4().hex, src_dir_fd=folder, dst_dir_fd=parent)
                else:
                    os.unlink(inner, dir_fd=folder)
            if not entries:
                break
    os.rmdir(name, dir_fd=parent)


def _first_entries(folder: int) -> list[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        return [(e.name, e.is_dir(follow_symlinks=False)) for e in islice(entries, _NAMES)]
