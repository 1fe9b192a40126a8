"""A group of commands that end in one line when something outside of them is wrong."""

from typing import Any, Final

import click
import psycopg
import psycopg2
import sqlalchemy.exc
from alembic.util import CommandError
from environs import EnvError

from chassis.postgres import DatabaseAwayError, DatabaseFaultError
from chassis.schema_changes import SchemaBusyError
from chassis.settings import SettingsError

#: Errors of the drivers, where no pool has turned them into ours.
_DRIVER_ERRORS: Final = (psycopg.Error, psycopg2.Error, sqlalchemy.exc.SQLAlchemyError)
#: SQLSTATEs of a table, column or function that is not there, and of a schema.
_NOT_MIGRATED: Final = frozenset({"42P01", "42703", "42883", "3F000"})


class CommandGroup(click.Group):
    """Tells faults of settings, databases and files in a sentence, and ends with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command; click.ClickException instead of a fault of its surroundings."""
        try:
            return super().invoke(ctx)
        except (SettingsError, DatabaseAwayError, SchemaBusyError) as error:
            raise click.ClickException(str(error)) from error
        except EnvError as error:
            raise click.ClickException(f"A setting does not fit: {error}") from error
        except (DatabaseFaultError, *_DRIVER_ERRORS) as error:
            raise click.ClickException(_describe_fault(error, ctx)) from error
        except CommandError as error:
            raise click.ClickException(
                f"The schema of the database is not of this version, but newer ({error}). "
                "Install the version that migrated the database, or a newer one."
            ) from error
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{place}{error.strerror or error}") from error


def _describe_fault(error: Exception, ctx: click.Context) -> str:
    cause = error.__cause__ or error
    state = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
    first_line = str(cause).strip().partition("\n")[0]
    if state in _NOT_MIGRATED:
        return f"The database is not migrated ({first_line}). Run: {ctx.info_name} migrate"
    return f"The database refused a statement: {first_line}"
