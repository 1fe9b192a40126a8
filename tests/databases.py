"""How the tests start PostgreSQL, and how they leave a database to the next test."""

from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

import psycopg

from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres

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
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own


def copy_database(postgres: EmbeddedPostgres, template: str, name: str) -> str:
    """Create the database `name` as a copy, which is quicker than to migrate; return its URL."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return postgres.url(name)


def by_tcp(url: str) -> str:
    """Return the URL of the same database by TCP; its server listens on 127.0.0.1."""
    parts = urlsplit(url)
    port = parse_qs(parts.query)["port"][0]
    return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
