"""The archive of a data folder: regular files and folders; everything else is named, not stored.

Scripts and people may put links, pipes and devices into the folder. An archive never follows or
opens them, and a file that goes away while the folder is read is no error.
"""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from push_backup.places import BackupError

_FOLDER: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def write_archive(folder: Path, archive: Path, leave: Collection[str]) -> list[str]:
    """Store all files of `folder` in the new file `archive`, but for the names in `leave`.

    Returns: what was left out, each with its reason.
    Raises: OSError if `archive` cannot be written.
    """
    with tarfile.open(archive, "w:gz") as tar:
        writer = _Writer(tar)
        writer.add_folder(folder, None, PurePosixPath(), leave)
    return writer.left_out


@dataclass(slots=True)
class _Writer:
    tar: tarfile.TarFile
    left_out: list[str] = field(default_factory=list)

    def add_folder(
        self, name: Path | str, parent: int | None, path: PurePosixPath, leave: Collection[str] = ()
    ) -> None:
        with self._opened(name, parent, _FOLDER, path) as folder:
            if folder is None:
                return
            if path.parts:
                self.tar.addfile(self._describe(path, os.fstat(folder)))
            for entry in sorted(found.name for found in os.scandir(folder)):
                if entry not in leave:
                    self._add(entry, folder, path / entry)

    def _add(self, name: str, parent: int, path: PurePosixPath) -> None:
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except OSError as error:
            self._leave_out(path, error)
            return
        if stat.S_ISDIR(mode):
            self.add_folder(name, parent, path)
        elif stat.S_ISREG(mode):
            self._add_file(name, parent, path)
        else:
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
            self.left_out.append(f"{path!s}: {kind}")

    def _add_file(self, name: str, parent: int, path: PurePosixPath) -> None:
        with self._opened(name, parent, _FILE, path) as opened:
            if opened is None:
                return
            facts = os.fstat(opened)
            if not stat.S_ISREG(facts.st_mode):
                self.left_out.append(f"{path!s}: not a file any more")
                return
            content = _FixedSize(opened, facts.st_size)
            self.tar.addfile(self._describe(path, facts), io.BufferedReader(content))
            if content.fault:
                self.left_out.append(f"{path!s}: {content.fault}")

    @contextmanager
    def _opened(
        self, name: Path | str, parent: int | None, flags: int, path: PurePosixPath
    ) -> Iterator[int | None]:
        try:
            opened = os.open(name, flags, dir_fd=parent)
        except OSError as error:
            self._leave_out(path, error)
            yield None
            return
        try:
            yield opened
        finally:
            os.close(opened)

    def _leave_out(self, path: PurePosixPath, error: OSError) -> None:
        """Name `path`, unless it went away: then there is nothing to save."""
        if not path.parts:
            raise error
        if not isinstance(error, FileNotFoundError):
            self.left_out.append(f"{path!s}: {error.strerror}")

    @staticmethod
    def _describe(path: PurePosixPath, facts: os.stat_result) -> tarfile.TarInfo:
        info = tarfile.TarInfo(str(path))
        info.mode, info.mtime = stat.S_IMODE(facts.st_mode), int(facts.st_mtime)
        if stat.S_ISDIR(facts.st_mode):
            info.type = tarfile.DIRTYPE
        else:
            info.size = facts.st_size
        return info


class _FixedSize(io.RawIOBase):
    """The first `size` bytes of an open file, whatever becomes of it; lost bytes are zero."""

    def __init__(self, opened: int, size: int) -> None:
        self.fault = ""
        self._opened, self._left = opened, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader hands a memoryview
        wanted = min(len(buffer), self._left)
        try:
            read = os.readv(self._opened, [buffer[:wanted]]) if wanted and not self.fault else 0
        except OSError as error:
            self.fault, read = str(error.strerror), 0
        if wanted and not read:
            self.fault = self.fault or "became shorter while it was read"
            buffer[:wanted] = bytes(wanted)
            read = wanted
        self._left -= read
        return read


def check_archive(archive: Path) -> list[str]:
    """Read the whole `archive`, and return the members that `extract_archive` would leave out.

    Raises: BackupError if it is cut short or damaged.
    """
    with _opened_archive(archive) as members:
        return [member.name for member in members if not _is_safe(member)]


def extract_archive(archive: Path, folder: Path) -> list[str]:
    """Write the files of `archive` into the empty `folder`; return what was left out.

    Raises: BackupError if the archive is damaged; OSError if the folder cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    left_out = []
    with _opened_archive(archive) as members:
        for member in members:
            if _is_safe(member):
                members.extract(member, folder, filter="data")
            else:
                left_out.append(member.name)
    return left_out


@contextmanager
def _opened_archive(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with gzip.open(archive) as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r:") as tar:
                yield tar
            while unpacked.read(1 << 20):  # the checksum is at the end
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError, ValueError) as error:
        raise BackupError(f"{archive} is damaged: {error}. Use another backup.") from error


def _is_safe(member: tarfile.TarInfo) -> bool:
    """Tell whether `member` is a file or folder that stays inside the folder it is written to."""
    path = PurePosixPath(member.name)
    plain = member.isfile() or member.isdir() or member.islnk()
    return plain and not path.is_absolute() and ".." not in path.parts
