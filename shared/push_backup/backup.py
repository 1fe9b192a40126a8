"""A backup is a folder: a dump of each database, the data folder, and the checksums of all three.

The ledger is dumped before the history of the cadence service, so that the history has every send
of the ledger. The data folder comes last, so that it has every file that the ledger names.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from push_backup.data_archive import check_archive, write_archive
from push_backup.dumps import read_dump, require_known, write_dump
from push_backup.places import (
    DATA,
    DATABASES,
    FILES,
    LEFT_OUT,
    NOT_SAVED,
    SUMS,
    BackupError,
    Places,
)

_DRAFT: Final = ".part"


def save(places: Places, target: Path) -> list[str]:
    """Write a backup to the new folder `target`, which gets its name once it has been read again.

    A save that fails leaves nothing; drafts of saves that were killed are removed first.
    Returns: what was left out, each with its reason. Raises: BackupError.
    """
    if target.exists():
        raise BackupError(f"{target} is there already; name a new folder.")
    if target.resolve().is_relative_to(places.data_folder.resolve()):
        raise BackupError(f"{target} lies in the data folder; name a folder outside of it.")
    try:
        with _draft(target) as draft:
            for name in DATABASES:
                write_dump(places.databases[name], draft / f"{name}.dump")
            left_out = write_archive(places.data_folder, draft / DATA, NOT_SAVED)
            (draft / LEFT_OUT).write_text("".join(f"{line!r}\n" for line in left_out))
            lines = [f"{_digest(path)}  {path.name}\n" for path in sorted(draft.iterdir())]
            (draft / SUMS).write_text("".join(lines))
            os.sync()
            _require_whole(draft)
            draft.rename(target)
    except OSError as error:
        raise BackupError(f"No backup was made, and nothing is left of it: {error}") from error
    return left_out


def check(source: Path) -> list[str]:
    """Return what a restore leaves out. Raises: BackupError unless `source` can be restored."""
    left_out = _read_whole(source)
    for name in DATABASES:
        require_known(name, source / f"{name}.dump")
    return left_out


def _require_whole(draft: Path) -> None:
    try:
        _read_whole(draft)
    except BackupError as error:
        raise BackupError(
            f"The backup could not be read again, and nothing is left of it: {error}"
        ) from error


def _read_whole(source: Path) -> list[str]:
    """Read all that a restore reads, and return what it leaves out. Raises: BackupError."""
    try:
        lines = (source / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(f"{source} is no backup: it has no {SUMS}.") from error
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in FILES:
        if not (source / name).is_file() or _digest(source / name) != sums.get(name):
            raise BackupError(f"{source / name} is missing or damaged; use another backup.")
    for name in DATABASES:
        read_dump(source / f"{name}.dump")
    return check_archive(source / DATA)


def remove_old(folder: Path, now: datetime, keep: timedelta, keep_at_least: int) -> list[Path]:
    """Delete the backups in `folder` that are older than `keep`; the newest ones always stay.

    Whatever is no backup stays, too. Returns: the deleted folders.
    """
    made_at = {
        sums.parent: sums.stat().st_mtime
        for sums in folder.glob(f"*/{SUMS}")
        if _is_backup(sums.parent)
    }
    newest_last = sorted(made_at, key=lambda path: (made_at[path], path))
    limit = (now - keep).timestamp()
    old = [path for path in newest_last[:-keep_at_least] if made_at[path] < limit]
    for path in old:
        shutil.rmtree(path)
    return old


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A new folder for a backup, locked while its save lives, and removed if the save fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(target.parent)
    draft = target.with_name(f"{target.name}{_DRAFT}")
    try:
        draft.mkdir(mode=0o700)
    except FileExistsError as error:
        raise BackupError(f"Another save writes {target} now; name another folder.") from error
    lock = os.open(draft, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _remove_orphans(folder: Path) -> None:
    """Remove the drafts in `folder` whose save does not live any more."""
    for draft in folder.glob(f"*{_DRAFT}"):
        if not _is_backup(draft, complete=False):
            continue
        lock = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(draft)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _is_backup(folder: Path, *, complete: bool = True) -> bool:
    """Tell whether `folder` holds the files of a backup and no others."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    found = {path.name for path in folder.iterdir()}
    return found <= {*FILES, LEFT_OUT, SUMS} and (not complete or found >= {*FILES, SUMS})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
