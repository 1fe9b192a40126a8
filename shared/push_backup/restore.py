"""Restore a backup: all of it is looked at before anything is touched, and it can be repeated.

While a restore is under way, the data folder holds a folder `.restoring`: the checksum of the
backup, a mark for each database that was begun, and the files that are not in their place yet.
A restore that ended half way goes on when the same command is given again.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from push_backup.backup import check
from push_backup.data_archive import extract_archive
from push_backup.dumps import is_empty, read_saved_at, restore_dump
from push_backup.places import DATA, DATABASES, NOT_SAVED, SUMS, BackupError, Places
from push_backup.restored_mark import write_mark

_STATE: Final = ".restoring"


def restore(source: Path, places: Places) -> list[str]:
    """Restore a backup into empty databases and an empty data folder; return what was left out.

    Raises: BackupError; the same command may then be given again once the fault is mended.
    """
    check(source)
    try:
        state = _begin(source, places)
        for name in DATABASES:
            _restore_database(name, places.databases[name], source, state)
        left_out = extract_archive(source / DATA, state / "data")
        for path in (state / "data").iterdir():
            _put(path, places.data_folder / path.name)
        shutil.rmtree(state)
    except OSError as error:
        raise BackupError(f"Half restored: {error}. Mend it, then repeat the command.") from error
    return left_out


def _begin(source: Path, places: Places) -> Path:
    """Return the folder of this restore's state; all places are empty, or are this backup's."""
    state = places.data_folder / _STATE
    backup = hashlib.sha256((source / SUMS).read_bytes()).hexdigest()
    if (state / "backup").exists():
        if (state / "backup").read_text() != backup:
            raise BackupError(
                f"{places.data_folder} is half restored from another backup. Repeat that restore,"
                " or take an empty folder and empty databases."
            )
        return state
    _require_empty(places)
    state.mkdir(parents=True, mode=0o700, exist_ok=True)
    (state / "backup").write_text(backup)
    return state


def _require_empty(places: Places) -> None:
    for name in DATABASES:
        if not is_empty(name, places.databases[name]):
            raise BackupError(f"The database {name} is not empty; restore into a new one.")
    folder = places.data_folder
    if folder.exists() and any(p.name not in {*NOT_SAVED, _STATE} for p in folder.iterdir()):
        raise BackupError(f"{folder} is not empty; restore into a new folder.")


def _restore_database(name: str, url: str, source: Path, state: Path) -> None:
    """Restore one database, unless an earlier try did: its dump is one transaction."""
    begun = state / name
    if not is_empty(name, url):
        if begun.exists():
            return
        raise BackupError(f"The database {name} is not empty; restore into a new one.")
    begun.touch()
    dump = source / f"{name}.dump"
    mark = write_mark(read_saved_at(dump)) if name == "push_blaster" else ""
    restore_dump(url, dump, at_last=mark)


def _put(path: Path, place: Path) -> None:
    """Move `path` to its place, instead of what an earlier try moved there."""
    if place.is_dir():
        shutil.rmtree(place)
    path.replace(place)
