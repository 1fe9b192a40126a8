"""Keeps other users of the machine out of all our folders in the data folder."""

from contextlib import suppress
from pathlib import Path
from stat import S_IMODE
from typing import Final

#: Folders that only web and engine write, and the permissions that nobody has there.
_OURS: Final = dict.fromkeys(
    ("audit-log", "executions", "journal", "sent", "trials", "uploads"), 0o077
)
#: Folders in which people work; a group of theirs may keep its rights.
_OF_PEOPLE: Final = dict.fromkeys(("automations", "templates"), 0o007)


def close_folders(data_folder: Path) -> None:
    """Take away what others, such as the user of scripts, may do in our folders."""
    for name, refused in (_OURS | _OF_PEOPLE).items():
        with suppress(FileNotFoundError, PermissionError):  # not made yet, or somebody else's
            folder = data_folder / name
            folder.chmod(S_IMODE(folder.stat().st_mode) & ~refused)
