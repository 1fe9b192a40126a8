"""The pool: bounded, honest about a database that is away, and well again when it is back."""

import gc
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from cadence_service.cli import MIGRATIONS
from chassis.migrations import migrate
from chassis.postgres import (
    BulkDatabase,
    Database,
    DatabaseAwayError,
    DatabaseFaultError,
    NotMigratedError,
)
from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres
from tests.databases import FAST
from tests.journeys.stack import wait_until


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    database = Database(postgres.create_database("chassis_tests"), max_connections=2)
    yield database
    database.close()


def read_one(database: Database, sql: str, *values: object) -> object:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    return row[0] if row else None


def test_a_transaction_that_raises_changes_nothing(database: Database) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS marks (n int); TRUNCATE marks")

    def fail_half_way() -> None:
        with database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO marks VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert read_one(database, "SELECT count(*) FROM marks") == 0


def test_no_statement_stays_on_a_connection_so_that_pgbouncer_may_lend_it_to_others(
    postgres: EmbeddedPostgres,
) -> None:
    bulk = BulkDatabase(postgres.create_database("chassis_tests"), max_connections=1)
    counts: list[object] = []
    for _ in range(10):
        with bulk.transaction() as connection:
            asked = connection.execute("SELECT count(*) FROM pg_prepared_statements")
            counts.append(asked.fetchone())
    bulk.close()

    assert counts == [(0,)] * 10


def test_there_are_never_more_connections_than_allowed(database: Database) -> None:
    together = threading.Barrier(2, timeout=10)
    seen: list[int] = []

    def work() -> None:
        for _ in range(10):
            with database.transaction() as connection:
                seen.append(connection.get_backend_pid())

    def hold() -> None:
        with database.transaction() as connection:
            seen.append(connection.get_backend_pid())
            together.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    threads += [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(seen)) == 2


def test_a_statement_that_takes_too_long_is_ended(postgres: EmbeddedPostgres) -> None:
    short = Database(postgres.url("postgres"), statement_timeout=timedelta(milliseconds=100))

    with pytest.raises(DatabaseAwayError, match="statement timeout"):
        read_one(short, "SELECT pg_sleep(5)")

    assert read_one(short, "SELECT 1") == 1
    short.close()


def test_a_fault_of_ours_is_told_as_it_is(database: Database) -> None:
    with pytest.raises(DatabaseFaultError):
        read_one(database, "SELECT * FROM nowhere")

    assert read_one(database, "SELECT 1") == 1


@pytest.mark.processes
def test_what_an_older_schema_lacks_is_a_missing_migration_and_no_fault_of_ours(
    database: Database,
) -> None:
    def is_older(_: object) -> None:
        raise NotMigratedError("Run migrate.")

    with pytest.raises(DatabaseFaultError):
        read_one(database, "SELECT count(*) FROM nowhere")
    database.check = is_older

    for lacking in ("SELECT count(*) FROM nowhere", "SELECT nothing()", "SELECT nobody"):
        with pytest.raises(NotMigratedError, match="Run migrate"):
            read_one(database, lacking)
    with pytest.raises(DatabaseFaultError):
        read_one(database, "SELECT 1 / 0")
    assert read_one(database, "SELECT 1") == 1


def test_a_killed_server_is_away_and_back_without_anybodys_help(place: Path) -> None:
    with run_postgres(place, FAST) as server:
        database = Database(server.url("postgres"), max_connections=2)
        serving = psutil.Process(int(str(read_one(database, "SELECT pg_backend_pid()"))))
        _kill(server)
        psutil.wait_procs([serving], timeout=10)  # it outlives its server for an instant

        with pytest.raises(DatabaseAwayError):
            read_one(database, "SELECT 1")

        assert server.restart_if_dead()
        assert read_one(database, "SELECT 1") == 1
        database.close()


def test_a_connection_that_was_closed_while_it_lay_idle_is_never_lent(
    postgres: EmbeddedPostgres, database: Database
) -> None:
    other = Database(postgres.url("postgres"), max_connections=1)
    backend = read_one(database, "SELECT pg_backend_pid()")

    assert read_one(other, "SELECT pg_terminate_backend(%s, 5000)", backend) is True

    assert read_one(database, "SELECT pg_backend_pid()") != backend
    other.close()


@pytest.mark.parametrize(("trusted_s", "is_pinged"), [(60, False), (0, True)])
def test_only_a_connection_that_lay_idle_for_long_is_pinged(
    postgres: EmbeddedPostgres, trusted_s: int, is_pinged: bool
) -> None:
    trusting = Database(postgres.url("postgres"), trusted_for=timedelta(seconds=trusted_s))
    other = Database(postgres.url("postgres"), max_connections=1)
    backend = read_one(trusting, "SELECT pg_backend_pid()")

    with trusting.transaction() as connection:
        assert connection.get_backend_pid() == backend
        last = read_one(other, "SELECT query FROM pg_stat_activity WHERE pid = %s", backend)

    assert (last != "COMMIT") == is_pinged, last
    trusting.close()
    other.close()


@pytest.mark.processes
def test_waiting_for_a_database_ends_when_it_is_there(place: Path) -> None:
    with run_postgres(place, FAST) as server:
        _kill(server)
        database = Database(server.url("postgres"))

        database.wait_until_available(sleep=lambda _: server.restart_if_dead())

        assert read_one(database, "SELECT 1") == 1
        database.close()


def test_migrations_may_run_twice_at_once(postgres: EmbeddedPostgres) -> None:
    url = postgres.create_database("migrated_twice")
    faults: list[BaseException] = []

    def run() -> None:
        database = Database(url, max_connections=1)
        try:
            migrate(database, MIGRATIONS)
        except BaseException as fault:  # noqa: BLE001 - shown below
            faults.append(fault)
        finally:
            database.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    database = Database(url, max_connections=1)
    assert read_one(database, "SELECT count(*) FROM rule_sets") == 1
    database.close()


def _kill(server: EmbeddedPostgres) -> None:
    process = server._process
    assert process
    process.kill()
    process.wait()


def test_a_pool_that_nobody_holds_lets_go_of_its_connections(postgres: EmbeddedPostgres) -> None:
    watcher = Database(postgres.url("postgres"), max_connections=1)
    forgotten = Database(postgres.url("postgres"), application_name="forgotten")
    with forgotten.transaction():
        assert count_of(watcher, "forgotten") == 1

    del forgotten
    gc.collect()

    wait_until(lambda: count_of(watcher, "forgotten"), lambda n: n == 0, limit_s=10)
    watcher.close()


def count_of(database: Database, application_name: str) -> int:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s",
            (application_name,),
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0
