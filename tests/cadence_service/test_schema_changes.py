"""Pruning and migrating beside a long reader: nobody who checks an audience waits for it."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cadence_service import cli
from cadence_service.adapters.partitions import make_partitions, partition_name
from cadence_service.use_cases.prune import prune
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase, Database
from chassis.rows import execute, fetch_value
from chassis.schema_changes import SchemaBusyError, change_schema, make_schema_check
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.cadence_service.replicas import reserve, running_replicas, spread_users

OLD = utc_now() - timedelta(days=200)
#: What a caller of a check waits at most here; it waits 1.5 s before it fails open.
AT_ONCE_S = 1.0
MIGRATION = '''"""A column."""

from chassis.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("ALTER TABLE history ADD COLUMN more integer")
'''
ENVIRONMENT = "from chassis.migrations import run_environment\n\nrun_environment()\n"


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[BulkDatabase]:
    """A database of its own with a week that is past keeping."""
    name = f"cadence_changes_{time.monotonic_ns()}"
    database = BulkDatabase(postgres.create_database(name), max_connections=4)
    migrate(database, cli.MIGRATIONS)
    make_partitions(database, utc_now())
    make_partitions(database, OLD)
    with database.transaction() as connection:
        execute(
            connection,
            "INSERT INTO user_notifications (user_id, sent_at, layer_id)"
            " SELECT gen_random_uuid(), %s, 3 FROM generate_series(1, 1000)",
            [OLD],
        )
    yield database
    database.close()


@contextmanager
def reading(database: BulkDatabase) -> Iterator[Callable[[], None]]:
    """Keep a transaction open that has read the whole history; yield what ends it."""
    connection = database.connect()
    fetch_value(connection, "SELECT count(*) FROM user_notifications")
    yield connection.close
    connection.close()


def exists(database: BulkDatabase, table: str) -> bool:
    with database.transaction() as connection:
        return fetch_value(connection, "SELECT to_regclass(%s)", [table]) is not None


def check_meanwhile(database: BulkDatabase, change: Callable[[], object]) -> list[float]:
    """Run `change` beside a reader for three seconds, then without; return what checks took."""
    took: list[float] = []
    users = spread_users(500)
    with (
        running_replicas(database.url, 1) as (url,),
        ThreadPoolExecutor(1) as pool,
        reading(database) as end_reading,
    ):
        done = pool.submit(change)
        until = time.monotonic() + 3
        while time.monotonic() < until or not done.done():
            begun = time.monotonic()
            answer = reserve(url, f"{begun}", users)
            took.append(time.monotonic() - begun)
            assert answer.status_code == 200, answer.text
            assert answer.json()["failedOpen"] is False
            if time.monotonic() > until:
                end_reading()
            assert begun < until + 20, "it never ends"
        done.result()
    return took


def test_pruning_makes_nobody_wait(database: BulkDatabase) -> None:
    took = check_meanwhile(database, lambda: prune(database, timedelta(days=90), utc_now()))

    assert max(took) < AT_ONCE_S
    assert not exists(database, partition_name(OLD)), "it went as soon as the reader had ended"


def test_new_weeks_make_nobody_wait(database: BulkDatabase) -> None:
    later = utc_now() + timedelta(days=100)

    took = check_meanwhile(database, lambda: make_partitions(database, later))

    assert max(took) < AT_ONCE_S
    assert exists(database, partition_name(later))


def test_a_new_week_has_the_indexes_and_the_checks_of_the_others(database: BulkDatabase) -> None:
    indexed = (
        "SELECT string_agg(indexdef, ' ' ORDER BY indexdef) FROM pg_indexes WHERE tablename=%s"
    )
    with database.transaction() as connection:
        parent = fetch_value(connection, indexed, ["user_notifications"])
        week = fetch_value(connection, indexed, [partition_name(utc_now())])
        checks = fetch_value(
            connection,
            "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass",
            [partition_name(utc_now())],
        )

    assert parent.count("CREATE INDEX") == week.count("CREATE INDEX") > 0
    assert checks > 0


@pytest.mark.parametrize("kind", [Database, BulkDatabase])
def test_a_migration_gives_way_and_comes_again(
    postgres: EmbeddedPostgres, tmp_path: Path, kind: type[Database] | type[BulkDatabase]
) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENVIRONMENT)
    (tmp_path / "versions" / "0001_more.py").write_text(MIGRATION)
    name = f"migrated_{kind.__name__.lower()}"
    database = kind(postgres.create_database(name), max_connections=1)
    reader = database.connect()
    execute(reader, "CREATE TABLE history (id int)")
    reader.commit()
    fetch_value(reader, "SELECT count(*) FROM history")
    migrating = threading.Thread(target=migrate, args=(database, tmp_path))
    migrating.start()

    took: list[float] = []
    for _ in range(10):
        begun = time.monotonic()
        with database.transaction() as connection:
            fetch_value(connection, "SELECT count(*) FROM history")
        took.append(time.monotonic() - begun)
        time.sleep(0.1)
    reader.close()
    migrating.join(20)

    assert max(took) < AT_ONCE_S
    with database.transaction() as connection:
        assert fetch_value(connection, "SELECT count(more) FROM history") == 0
    database.close()


def test_a_change_that_never_gets_its_lock_says_what_to_do(database: BulkDatabase) -> None:
    drop = f"DROP TABLE {partition_name(OLD)}"

    with (
        reading(database),
        pytest.raises(SchemaBusyError, match="Find long transactions in pg_stat_activity"),
    ):
        change_schema(database, lambda connection: execute(connection, drop), timedelta(0))


def test_the_command_says_it_without_a_traceback(
    database: BulkDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSH_CADENCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("CADENCE_API_TOKEN", "token-of-the-tests")

    said = CliRunner().invoke(cli.main, ["prune"])

    assert said.exit_code == 1
    assert said.output.splitlines()[-1].startswith("Error: The database is away")
    assert "Traceback" not in said.output


def test_weeks_are_named_by_their_monday() -> None:
    assert partition_name(datetime(2026, 11, 29, 23, tzinfo=UTC)) == "user_notifications_20261123"


def test_an_upgrade_of_the_files_leaves_a_program_that_runs_as_it_is(
    database: BulkDatabase, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(cli.MIGRATIONS, tmp_path / "migrations"))
    database.check = make_schema_check(folder, "cadence-service migrate")
    (folder / "versions" / "9999_newer.py").touch()

    beside_newer_files = database.ping()
    shutil.rmtree(folder)

    assert beside_newer_files is None
    assert database.ping() is None
