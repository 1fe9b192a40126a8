"""Dumps of a database, by PostgreSQL's own programs."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from push_backup.places import BackupError

#: Seconds until a connection is given up; milliseconds until a locked table is.
CONNECT_TIMEOUT: Final = 10
LOCK_TIMEOUT: Final = 120_000
#: The package that holds the migrations of each database.
_PACKAGES: Final = {"push_blaster": "push_blaster", "cadence": "cadence_service"}
_OBJECTS: Final = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


def write_dump(url: str, dump: Path) -> None:
    """Dump a database, all schemas of it, into the new file `dump`. Raises: BackupError."""
    _run(
        "pg_dump",
        "--format=custom",
        "--no-owner",
        f"--lock-wait-timeout={LOCK_TIMEOUT}",
        f"--file={dump}",
        url=url,
    )


def restore_dump(url: str, dump: Path) -> None:
    """Restore `dump` into an empty database, as a whole or not at all. Raises: BackupError."""
    _run("pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", str(dump), url=url)


def check_dump(name: str, dump: Path) -> None:
    """Raise BackupError unless `pg_restore` reads `dump` and this version knows its schema."""
    _run("pg_restore", "--list", str(dump))
    found = _read_revision(dump)
    known = _known_revisions(name)
    if found and found not in known:
        raise BackupError(
            f"{dump} has schema {found} of {name}, and this version knows schemas up to"
            f" {max(known)}. Install the version that made the backup, or a newer one."
        )


def is_empty(name: str, url: str) -> bool:
    """Tell whether the database has no table in any schema. Raises: BackupError."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT) as connection:
            found = connection.execute(_OBJECTS).fetchone()
    except psycopg.Error as error:
        raise BackupError(f"The database {name} cannot be reached: {error}") from error
    return not found or not found[0]


def _read_revision(dump: Path) -> str | None:
    """Return the newest migration that the dumped database had; None if it had none."""
    table = _run("pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(dump))
    _, _, rows = table.partition("FROM stdin;\n")
    return rows.partition("\n")[0].strip("\\.") or None


def _known_revisions(name: str) -> set[str]:
    spec = find_spec(_PACKAGES[name])
    if spec is None or spec.origin is None:
        raise BackupError(f"{_PACKAGES[name]} is not installed beside push-backup; install it.")
    folder = Path(spec.origin).parent / "migrations" / "versions"
    return {path.name.partition("_")[0] for path in folder.glob("[0-9]*.py")}


def _run(program: str, *arguments: str, url: str | None = None) -> str:
    """Run a program of PostgreSQL and return what it prints. Raises: BackupError.

    The password of `url` is in the program's environment, not in its arguments.
    """
    environment = {"PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT)}
    if url is not None:
        given = conninfo_to_dict(url)
        if password := given.pop("password", None):
            environment["PGPASSWORD"] = str(password)
        arguments = (*arguments[:-1], f"--dbname={make_conninfo('', **given)}", arguments[-1])
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [program, *arguments],
            env=os.environ | environment,  # noqa: TID251 - PATH, and what PostgreSQL's programs read
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BackupError(
            f"{program} is missing; install PostgreSQL's client programs, of the server's version."
        ) from error
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip() or 'it was ended'}")
    return done.stdout
