"""A backup is a folder: a dump of each database, the data folder, and the checksums of all three.

The ledger is dumped before the history of the cadence service, so that the history has every send
of the ledger. The data folder comes last, so that it has every file that the ledger names.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

SUMS: Final = "SHA256SUMS"
DATA: Final = "data.tar.gz"
#: Folders of `make run` that every start makes again, and the folders of scripts that run.
LEFT_OUT: Final = frozenset({"postgres", "logs", "running"})
_VARIABLES: Final = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
}


class BackupError(Exception):
    """The backup failed, or nothing was restored; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What is backed up: the URL of each database by the name of its dump; the data folder."""

    databases: Mapping[str, str]
    data_folder: Path


def save(places: Places, target: Path) -> None:
    """Write a backup to the new folder `target`, which gets its name once it is complete.

    Raises: BackupError.
    """
    if target.exists():
        raise BackupError(f"{target} is there already; name a new folder.")
    draft = target.with_name(f"{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    for name, url in places.databases.items():
        _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={draft / name}.dump")
    with tarfile.open(draft / DATA, "w:gz") as archive:
        for path in sorted(places.data_folder.iterdir()):
            if path.name not in LEFT_OUT:
                archive.add(path, path.name)
    lines = [f"{_digest(path)}  {path.name}\n" for path in sorted(draft.iterdir())]
    (draft / SUMS).write_text("".join(lines))
    draft.rename(target)


def restore(source: Path, places: Places) -> None:
    """Restore a backup into empty databases and an empty data folder.

    Raises: BackupError; each database is restored as a whole or not at all.
    """
    check(source, places)
    _require_empty(places)
    for name, url in places.databases.items():
        dump = str(source / f"{name}.dump")
        whole = ("--exit-on-error", "--single-transaction")
        database = str(conninfo_to_dict(url).get("dbname", ""))
        _run("pg_restore", url, "--no-owner", *whole, f"--dbname={database}", dump)
    places.data_folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(source / DATA) as archive:
        archive.extractall(places.data_folder, filter="data")


def check(source: Path, places: Places) -> None:
    """Raise BackupError unless the backup is complete and as it was written."""
    try:
        lines = (source / SUMS).read_text().splitlines()
    except OSError as error:
        raise BackupError(f"{source} is no backup: it has no {SUMS}.") from error
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in (*(f"{name}.dump" for name in places.databases), DATA):
        if not (source / name).is_file() or _digest(source / name) != sums.get(name):
            raise BackupError(f"{source / name} is missing or damaged; use another backup.")


def _require_empty(places: Places) -> None:
    for name, url in places.databases.items():
        try:
            with psycopg.connect(url, connect_timeout=10) as connection:
                found = connection.execute(
                    "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
                ).fetchone()
        except psycopg.OperationalError as error:
            raise BackupError(f"The database {name} cannot be reached: {error}") from error
        if found and found[0]:
            raise BackupError(f"The database {name} is not empty; restore into a new one.")
    folder = places.data_folder
    if folder.exists() and any(path.name not in LEFT_OUT for path in folder.iterdir()):
        raise BackupError(f"{folder} is not empty; restore into a new folder.")


def _run(program: str, url: str, *arguments: str) -> None:
    """Run a program of PostgreSQL; the password is in its environment, not in its arguments."""
    given = conninfo_to_dict(url)
    environment = {_VARIABLES[key]: str(given[key]) for key in given if key in _VARIABLES}
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [program, *arguments],
            env=os.environ | environment,  # noqa: TID251 - PATH, and what PostgreSQL's programs read
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BackupError(
            f"{program} is missing; install PostgreSQL's client programs, of the server's version."
        ) from error
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
