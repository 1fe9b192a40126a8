"""Each service has a database and a role of its own, and the role may do nothing else."""

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from cadence_service.cli import MIGRATIONS as CADENCE_MIGRATIONS
from cadence_service.use_cases.prune import prune as prune_cadence
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres, find_binaries
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.cli import MIGRATIONS

SQL = Path(__file__).parents[2] / "deploy" / "make-databases.sql"
PASSWORDS = {"push_blaster": "of-push_blaster", "cadence": "of-cadence"}
ENVIRONMENT = {f"{name.upper()}_PASSWORD": password for name, password in PASSWORDS.items()}


def make_databases(postgres: EmbeddedPostgres, environment: dict[str, str]) -> int:
    done = subprocess.run(
        [find_binaries() / "psql", "--no-psqlrc", "--quiet", "-f", SQL, postgres.url("postgres")],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode


@pytest.fixture(scope="module")
def server(postgres: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """A server on which the file has made both databases; it has no trace of them afterwards."""
    assert make_databases(postgres, {}) != 0  # without passwords it makes nothing
    assert make_databases(postgres, ENVIRONMENT) == 0
    yield postgres
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        for name in PASSWORDS:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            connection.execute(f"DROP ROLE {name}")


def url(server: EmbeddedPostgres, role: str, database: str) -> str:
    parts = urlsplit(server.url(database))
    return parts._replace(netloc=f"{role}:{PASSWORDS[role]}@").geturl()


@pytest.mark.parametrize("role", PASSWORDS)
def test_a_role_reaches_its_own_database_and_no_other(server: EmbeddedPostgres, role: str) -> None:
    psycopg.connect(url(server, role, role)).close()
    for name in PASSWORDS.keys() - {role}:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url(server, role, name))


@pytest.mark.parametrize("lost", [[], ["DATABASE cadence"], ["DATABASE cadence", "ROLE cadence"]])
def test_the_file_can_be_run_again_after_a_failure_at_each_statement(
    server: EmbeddedPostgres, lost: list[str]
) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for thing in lost:
            connection.execute(f"DROP {thing}".encode())
        connection.execute("ALTER ROLE push_blaster PASSWORD 'of an earlier run'")

    assert make_databases(server, ENVIRONMENT) == 0

    for role in PASSWORDS:
        psycopg.connect(url(server, role, role)).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url(server, "push_blaster", "cadence"))


def test_the_file_changes_no_rights_on_the_databases_of_others(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE of_somebody_else")
        try:
            assert make_databases(server, ENVIRONMENT) == 0
            for name in ("postgres", "template1", "of_somebody_else"):
                psycopg.connect(url(server, "cadence", name)).close()
        finally:
            connection.execute("DROP DATABASE of_somebody_else")


@pytest.mark.parametrize("role", PASSWORDS)
@pytest.mark.parametrize(
    "statement",
    ["CREATE ROLE more", "CREATE DATABASE more", "ALTER ROLE {role} SUPERUSER",
     "SET ROLE {superuser}", "COPY (SELECT 1) TO PROGRAM 'true'",
     "SELECT pg_read_file('PG_VERSION')"],
)  # fmt: skip
def test_a_role_may_do_nothing_beyond_its_database(
    server: EmbeddedPostgres, role: str, statement: str
) -> None:
    superuser = urlsplit(server.url("postgres")).username
    with (
        psycopg.connect(url(server, role, role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.format(role=role, superuser=superuser))


def test_the_roles_are_enough_for_both_services(server: EmbeddedPostgres) -> None:
    push = Database(url(server, "push_blaster", "push_blaster"), max_connections=1)
    cadence = BulkDatabase(url(server, "cadence", "cadence"), max_connections=1)

    migrate(push, MIGRATIONS)
    migrate(cadence, CADENCE_MIGRATIONS)
    pruned = prune_cadence(cadence, timedelta(days=1), utc_now())
    with push.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now())

    push.close()
    cadence.close()
    assert pruned.notifications == 0
