"""What a backup is of, and the names of its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: The databases; the dump of each has the name of the service that owns it.
DATABASES: Final = ("push_blaster", "cadence")
DATA: Final = "data.tar.gz"
#: Names what `save` did not store, a line each.
LEFT_OUT: Final = "LEFT_OUT"
SUMS: Final = "SHA256SUMS"
FILES: Final = (*(f"{name}.dump" for name in DATABASES), DATA)
#: What every start makes again: folders of `make run`, and of scripts that run.
NOT_SAVED: Final = frozenset({"postgres", "logs", "running"})


class BackupError(Exception):
    """The command failed; the message says why, what is left, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What is backed up: the URL of each database by its name, and the data folder."""

    databases: Mapping[str, str]
    data_folder: Path
