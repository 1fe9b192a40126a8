"""What must hold before the local stack starts; where it fails, nothing is left behind."""

import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from chassis.settings import SettingsError, require_free_port
from local_stack.settings import StackSettings

#: What an embedded PostgreSQL with both databases takes, and as much for a day of trying out.
SPACE: Final = 300 * 1024 * 1024
_MEBIBYTE: Final = 1024 * 1024


def check_preconditions(settings: StackSettings) -> None:
    """Check ports and the data folder, and make the folder. Raises: SettingsError."""
    if settings.push_port == settings.cadence_port:
        raise SettingsError(
            f"PUSH_PORT and CADENCE_PORT are both {settings.push_port}; set one of them to another "
            "port."
        )
    require_free_port("PUSH_PORT", settings.host, settings.push_port)
    require_free_port("CADENCE_PORT", settings.host, settings.cadence_port)
    made = _make_folder(settings.data_folder)
    try:
        _check_folder(settings.data_folder)
    except SettingsError:
        for folder in made:
            folder.rmdir()
        raise


def _make_folder(folder: Path) -> list[Path]:
    """Make the folder; return what was made, the innermost folder first."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refuse(folder, f"cannot be made ({error.strerror})") from error
    return missing


def _check_folder(folder: Path) -> None:
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _refuse(folder, f"cannot be written ({error.strerror})") from error
    free = shutil.disk_usage(folder).free
    if free < SPACE:
        raise _refuse(
            folder, f"has {free // _MEBIBYTE} MB of free space, and {SPACE // _MEBIBYTE} are needed"
        )


def _refuse(folder: Path, fault: str) -> SettingsError:
    return SettingsError(
        f"The data folder {folder} {fault}. Set PUSH_DATA_DIR to a folder that you may write."
    )
