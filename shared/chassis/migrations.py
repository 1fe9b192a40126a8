"""Migrations: alembic runs the numbered files of a service; their SQL is plain."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from alembic import command, context
from alembic.config import Config

from chassis.postgres import Pool
from chassis.rows import execute
from chassis.schema_changes import GIVE_UP_AFTER, LOCK_TIMEOUT, repeat_until_unlocked

#: The number of an advisory lock: two `migrate` at the same time run one after the other.
LOCK: Final = 7_304_218_511
_LOCK_MS: Final = LOCK_TIMEOUT // timedelta(milliseconds=1)


def migrate(database: Pool[Any], folder: Path, to: str = "head") -> None:
    """Bring the schema of `database` up to a migration in `folder`, the newest; safe to repeat.

    Each migration is a transaction that never waits long for a lock; it is repeated instead.
    Raises: SchemaBusyError.
    """
    engine = sqlalchemy.create_engine(
        f"{database.dialect}://", creator=database.connect, poolclass=sqlalchemy.NullPool
    )
    with _alone(database), engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection

        def upgrade() -> None:
            with rolled_back_on_error(connection):
                command.upgrade(config, to)
                connection.commit()

        repeat_until_unlocked(upgrade, GIVE_UP_AFTER)


@contextmanager
def rolled_back_on_error(connection: sqlalchemy.Connection) -> Iterator[None]:
    """Roll back what `connection` has begun if the block raises, so that it can be repeated."""
    try:
        yield
    except BaseException:
        connection.rollback()
        raise


def run_environment() -> None:
    """Run the migrations that alembic chose; each service's `migrations/env.py` calls this."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def run_sql(sql: str) -> None:
    """Execute `sql` as it stands, many statements if need be, in the migration's transaction."""
    connection = context.get_context().connection
    if connection is None:
        raise RuntimeError("Migrations run against a database, not offline.")
    cursor = connection.connection.cursor()
    cursor.execute(f"SET LOCAL lock_timeout = {_LOCK_MS}; SET LOCAL statement_timeout = 0")
    cursor.execute(sql)


@contextmanager
def _alone(database: Pool[Any]) -> Iterator[None]:
    """Hold the lock of migrations for as long as the block takes.

    A transaction of its own holds it. A pooler such as PgBouncer lends a session for one
    transaction only, and afterwards lends it to others, with all that was set for the session.
    """
    with closing(database.connect()) as holder:
        execute(holder, "SET LOCAL statement_timeout = 0")
        execute(holder, "SET LOCAL idle_in_transaction_session_timeout = 0")
        execute(holder, f"SELECT pg_advisory_xact_lock({LOCK})")
        yield
