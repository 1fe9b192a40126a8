"""How the tests start PostgreSQL, and how they leave a database to the next test."""

from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

import psycopg

from cadence_service.adapters.partitions import make_partitions
from cadence_service.settings import MIGRATIONS as CADENCE_MIGRATIONS
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.settings import MIGRATIONS as PUSH_MIGRATIONS

#: Tests may lose their data in a power cut.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",  # of all the stacks that a process of tests has running
}


def empty_tables(database: Database | BulkDatabase, tables: Iterable[str]) -> None:
    """Delete every row of `tables`, in this order; a TRUNCATE takes longer than most tests."""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("; ".join(f"DELETE FROM {table}" for table in tables))  # noqa: S608 - ours


def copy_database(postgres: EmbeddedPostgres, template: str, name: str) -> str:
    """Create the database `name` as a copy, which is quicker than to migrate; return its URL."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return postgres.url(name)


def by_tcp(url: str) -> str:
    """Return the URL of the same database by TCP; its server listens on 127.0.0.1."""
    parts = urlsplit(url)
    port = parse_qs(parts.query)["port"][0]
    return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"


def make_push_database(postgres: EmbeddedPostgres, name: str) -> str:
    """Create the database `name` as `push-blaster migrate` leaves it; return its URL."""
    template = Database(postgres.create_database("push_migrated"), max_connections=1)
    migrate(template, PUSH_MIGRATIONS)
    template.close()
    return copy_database(postgres, "push_migrated", name)


def make_cadence_database(postgres: EmbeddedPostgres, name: str) -> str:
    """Create the database `name` as `cadence-service migrate` leaves it; return its URL."""
    template = BulkDatabase(postgres.create_database("cadence_migrated"), max_connections=1)
    migrate(template, CADENCE_MIGRATIONS)
    make_partitions(template, utc_now())
    template.close()
    return copy_database(postgres, "cadence_migrated", name)
