"""A migration beside a long reader, such as pg_dump: sends go on while it waits for its lock."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.migrations import migrate
from chassis.postgres import Database
from chassis.rows import fetch_value
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.cli import MIGRATIONS
from push_blaster.domain.executions.phase import Phase
from tests.push_blaster.bench import Bench, messages

MIGRATION = '''"""What every later version does."""

from chassis.migrations import run_sql

revision = "9998"
down_revision = "{before}"


def upgrade() -> None:
    run_sql("ALTER TABLE {table} ADD COLUMN more integer")
'''
#: What a send reads and writes, and what its jobs are in.
TABLES = ("executions", "send_batches", "deliveries", "procrastinate_jobs")
#: A pooler gives this transaction a session that never heard of a time limit.
FORGETFUL = '''"""A session that forgets."""

from chassis.migrations import run_sql

revision = "9997"
down_revision = "{before}"


def upgrade() -> None:
    run_sql("SELECT set_config('lock_timeout', '0', false)")
'''


@pytest.fixture
def sending(bench: Bench, postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Bench]:
    """A bench over a database that may be changed."""
    database = Database(postgres.create_database(f"migrating_{tmp_path.name[-8:]}"))
    migrate(database, MIGRATIONS)
    context = replace(bench.context, database=database, clock=lambda: own.now)
    own = Bench(database, bench.folder, context)
    yield own
    database.close()


@pytest.mark.parametrize(
    "table", ["executions", "send_batches", "deliveries", "procrastinate_jobs"]
)
def test_a_send_goes_on_while_a_migration_waits_for_a_long_reader(
    sending: Bench, tmp_path: Path, table: str
) -> None:
    newest = max(MIGRATIONS.glob("versions/[0-9]*.py")).name[:4]
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    (folder / "versions" / "9997_forgetful.py").write_text(FORGETFUL.format(before=newest))
    last = MIGRATION.format(before="9997", table=table)
    (folder / "versions" / "9998_more.py").write_text(last)
    execution_id = sending.start(parameters={"users": 60})
    reader = sending.database.connect()
    fetch_value(reader, f"SELECT count(*) FROM {', '.join(TABLES)}")  # noqa: S608 - constants
    migrating = threading.Thread(target=migrate, args=(sending.database, folder), daemon=True)
    migrating.start()

    ended = sending.run(execution_id)
    waits = migrating.is_alive()
    reader.close()
    migrating.join(30)

    assert ended.phase is Phase.COMPLETED
    assert len(messages(sending)) == 60
    assert waits
    with sending.database.transaction() as connection:
        assert fetch_value(connection, f"SELECT count(more) FROM {table}") == 0  # noqa: S608 - a constant
