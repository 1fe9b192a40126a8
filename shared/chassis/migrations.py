"""Migrations: alembic runs the numbered files of a service; their SQL is plain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from alembic import command, context
from alembic.config import Config

from chassis.postgres import Pool

#: The number of an advisory lock: two `migrate` at the same time run one after the other.
LOCK: Final = 7_304_218_511


def migrate(database: Pool[Any], folder: Path, to: str = "head") -> None:
    """Bring the schema of `database` up to a migration in `folder`, the newest; safe to repeat."""
    engine = sqlalchemy.create_engine(
        f"{database.dialect}://",
        creator=_without_time_limit(database),
        poolclass=sqlalchemy.NullPool,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
        connection.commit()
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        connection.commit()


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
    connection.connection.cursor().execute(sql)


def _without_time_limit(database: Pool[Any]) -> Callable[[], Any]:
    def connect() -> Any:
        raw = database.connect()
        with raw.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
        raw.commit()
        return raw

    return connect
