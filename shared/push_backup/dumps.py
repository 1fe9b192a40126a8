"""Dumps of a database, by PostgreSQL's own programs."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from push_backup.places import BackupError

#: Seconds until a connection is given up; milliseconds until a locked table is.
CONNECT_TIMEOUT: Final = 10
LOCK_TIMEOUT: Final = 120_000
#: The package that holds the migrations of each database.
_PACKAGES: Final = {"push_blaster": "push_blaster", "cadence": "cadence_service"}
#: psql runs what pg_restore prints, so that it is one transaction with what follows.
_CALLED: Final = {"psql": "pg_restore"}
#: When a dump was made, in what `pg_restore --list` prints.
_SAVED_AT: Final = re.compile(r"Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
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


def restore_dump(url: str, dump: Path, at_last: str = "") -> None:
    """Restore `dump` into an empty database, then run `at_last`, as a whole or not at all.

    Raises: BackupError.
    """
    options = ("--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1")
    with (
        _running("pg_restore", "--no-owner", "--file=-", str(dump)) as reader,
        _running("psql", *options, "--file=-", url=url) as writer,
        suppress(BrokenPipeError),  # psql says why it ended
    ):
        if reader.stdout is None or writer.stdin is None:
            raise RuntimeError("Programs run with pipes.")
        writer.stdin.write(b"BEGIN;\n")
        shutil.copyfileobj(reader.stdout, writer.stdin)
        if reader.wait() == 0:  # without the COMMIT, psql takes everything back
            writer.stdin.write(f"{at_last}COMMIT;\n".encode())


def read_dump(dump: Path) -> None:
    """Raise BackupError unless `pg_restore` reads all of `dump`."""
    _run("pg_restore", f"--file={os.devnull}", str(dump))


def require_known(name: str, dump: Path) -> None:
    """Raise BackupError unless this version knows the schema of `dump`."""
    found = _read_revision(dump)
    known = _known_revisions(name)
    if found and found not in known:
        raise BackupError(
            f"{dump} has schema {found} of {name}, and this version knows schemas up to"
            f" {max(known)}. Install the version that made the backup, or a newer one."
        )


def read_saved_at(dump: Path) -> datetime | None:
    """Return when `dump` was made, if its list says so."""
    found = _SAVED_AT.search(_run("pg_restore", "--list", str(dump)))
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None


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
    """Run a program of PostgreSQL and return what it prints. Raises: BackupError."""
    with _running(program, *arguments, url=url) as process:
        printed, _ = process.communicate()
    return printed.decode(errors="replace")


@contextmanager
def _running(
    program: str, *arguments: str, url: str | None = None
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a program of PostgreSQL beside the block. Raises: BackupError with its words.

    The password of `url` is in the program's environment, not in its arguments. Times are in UTC.
    """
    environment = {"PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT), "TZ": "UTC"}
    if url is not None:
        given = conninfo_to_dict(url)
        if password := given.pop("password", None):
            environment["PGPASSWORD"] = str(password)
        arguments = (*arguments[:-1], f"--dbname={make_conninfo('', **given)}", arguments[-1])
    with TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own arguments
                [program, *arguments],
                env=os.environ | environment,  # noqa: TID251 - PATH, and what PostgreSQL's programs read
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except FileNotFoundError as error:
            raise BackupError(
                f"{program} is missing; install PostgreSQL's client programs, of the server's"
                " version."
            ) from error
        with process:
            yield process
        if process.returncode:
            errors.seek(0)
            why = errors.read().decode(errors="replace").strip()
            raise BackupError(f"{_CALLED.get(program, program)} failed: {why or 'it was ended'}")
