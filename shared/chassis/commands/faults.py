"""What a person is told about a fault outside of a command, in one sentence with its fix."""

from typing import Final

import psycopg
import psycopg2
import sqlalchemy.exc
from alembic.util import CommandError
from environs import EnvError

from chassis.postgres import NOT_THERE, DatabaseAwayError, DatabaseFaultError
from chassis.schema_changes import SchemaBusyError
from chassis.settings import SettingsError

#: Errors that say all themselves.
_OURS: Final = (SettingsError, DatabaseAwayError, SchemaBusyError)
#: Refused statements, also errors of the drivers, where no pool has turned them into ours.
_REFUSED: Final = (
    DatabaseFaultError,
    psycopg.Error,
    psycopg2.Error,
    sqlalchemy.exc.SQLAlchemyError,
)


def describe_fault(error: Exception, program: str | None) -> str | None:
    """Return what to tell about `error`; None if the fault is not outside of the command."""
    if isinstance(error, _OURS):
        return str(error)
    if isinstance(error, EnvError):
        return f"A setting does not fit: {error}"
    if isinstance(error, CommandError):
        return (
            f"The schema of the database is not of this version, but newer ({error}). "
            "Install the version that migrated the database, or a newer one."
        )
    return _describe_other(error, program)


def _describe_other(error: Exception, program: str | None) -> str | None:
    if isinstance(error, _REFUSED):
        return _describe_refusal(error.__cause__ or error, program)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    return None


def _describe_refusal(cause: BaseException, program: str | None) -> str:
    state = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
    first_line = str(cause).strip().partition("\n")[0]
    if state in NOT_THERE:
        return f"The database is not migrated ({first_line}). Run: {program} migrate"
    return f"The database refused a statement: {first_line}"
