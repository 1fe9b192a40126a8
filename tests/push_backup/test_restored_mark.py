"""What a backup brings back does not go on by itself: what went out since then is unknown."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import Database
from chassis.rows import execute
from local_stack.embedded_postgres import EmbeddedPostgres
from push_backup.backup import save
from push_backup.cli import main
from push_backup.places import Places
from push_backup.restore import restore
from push_backup.restored_mark import mark_restored
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.executions.execution_table import (
    NewExecution,
    dispatch_executions,
    insert_execution,
    take_execution,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.schedule.schedule_marks import ScheduleMark, save_mark
from push_blaster.cli import MIGRATIONS
from push_blaster.domain.executions.execution import Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.automations.control_automation import Control
from push_blaster.use_cases.executions.stop_execution import end_stopped_executions
from push_blaster.use_cases.schedule.open_executions import Clock, fingerprint_of
from tests.push_blaster.bench import daily

MINUTE = timedelta(minutes=1)
TRIAL_AND_SUSPENSION = """
INSERT INTO script_runs (id, script_id, is_trial, parameters, folder, state, asked_at)
VALUES (gen_random_uuid(), 's', true, '{}', '', 'waiting', now());
INSERT INTO suspensions VALUES ('restored-1');
"""


def open_execution(url: str, number: int, slot: datetime, mode: Mode = Mode.LIVE) -> str:
    """Let an execution of `slot` wait, as it does when a backup is made."""
    database = Database(url, max_connections=1)
    new = NewExecution(
        id=f"restored-{number}",
        document=dict(daily(id=f"restored-{number}")),
        mode=mode,
        trigger=Trigger.SCHEDULE,
        slot=slot,
        begins_at=slot - 10 * MINUTE,
    )
    with database.transaction() as connection:
        assert insert_execution(connection, new, utc_now())
    database.close()
    return new.id


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture
def database(kept: Places) -> Iterator[Database]:
    """push_blaster's database."""
    database = Database(kept.databases["push_blaster"], max_connections=2)
    yield database
    database.close()


def test_nothing_that_was_under_way_goes_on_after_a_restore(
    kept: Places, fresh: Places, tmp_path: Path
) -> None:
    url, now = kept.databases["push_blaster"], utc_now()
    open_execution(url, 0, now - 5 * MINUTE)
    open_execution(url, 1, now + MINUTE)
    open_execution(url, 2, now + MINUTE, Mode.TEST_SCHEDULED_SEND)
    with psycopg.connect(url) as connection:
        connection.execute(TRIAL_AND_SUSPENSION)
    save(kept, tmp_path / "backup")
    restore(tmp_path / "backup", fresh)
    restored = Database(fresh.databases["push_blaster"], max_connections=2)

    with restored.transaction() as connection:
        due = dispatch_executions(connection, now + 5 * MINUTE, now + 5 * MINUTE)
        taken = [take_execution(connection, f"restored-{number}") for number in range(3)]
    ended = end_stopped_executions(restored, now)
    with restored.transaction() as connection:
        execution = select_execution(connection, "restored-0")

    assert (due, taken) == ([], [None, None, None])
    assert sorted(ended) == ["restored-0", "restored-1", "restored-2"]
    assert execution.phase is Phase.CANCELLED
    assert str(execution.reason).startswith("Restored from a backup of 2")
    assert str(execution.reason).endswith("UTC: what went out since then is unknown.")
    assert ask(restored.url, "SELECT state FROM script_runs") == [("stopped",)]
    assert ask(restored.url, "SELECT 1 FROM suspensions") == []
    ((saved_at, restored_at),) = ask(restored.url, "SELECT saved_at, restored_at FROM restores")
    assert timedelta(0) <= restored_at - saved_at < 5 * MINUTE, "in UTC"


def test_every_automation_is_paused_and_makes_up_for_no_slot(
    database: Database, tmp_path: Path
) -> None:
    files, soon = AutomationFiles(tmp_path / "automations"), utc_now() + 3 * MINUTE
    at = {"executionTime": f"{soon:%H:%M}", "missedRunPolicy": "run_late"}
    (tmp_path / "automations" / "news.json").write_text(json.dumps(daily(id="news", schedule=at)))
    automation = files.read_all()["news"].automation
    with database.transaction() as connection:
        mark = ScheduleMark(fingerprint_of(automation), utc_now() - MINUTE)
        save_mark(connection, "news", mark)
    mark_restored(database.url, None)
    control = Control(files, database)

    opened = Clock(database).tick(files.read_all(), soon + MINUTE)
    control.finish_emergency_stop(utc_now())
    paused = files.read_all()["news"].automation
    control.resume("news", "looked at", soon + MINUTE)
    opened += Clock(database).tick(files.read_all(), soon + 2 * MINUTE)

    assert opened == []
    assert paused.status == "paused"


def test_what_begins_after_a_restore_is_as_usual(database: Database) -> None:
    mark_restored(database.url, None)

    new = open_execution(database.url, 7, utc_now())

    with database.transaction() as connection:
        assert take_execution(connection, new)
        assert select_execution(connection, new).restored_at is None


def test_a_clock_behind_the_one_of_the_backup_makes_nothing_new(database: Database) -> None:
    late = open_execution(database.url, 1, utc_now())
    with database.transaction() as connection:
        execute(connection, "UPDATE executions SET created_at = now() + interval '2 hours'")

    mark_restored(database.url, None)

    with database.transaction() as connection:
        assert take_execution(connection, late) is None
        assert select_execution(connection, late).restored_at


INSERT_OLD = (
    "INSERT INTO executions (id, automation_id, automation_name, automation_version, mode, trigger,"
    " slot, begins_at, phase, due_at, snapshot, created_at) VALUES ('e', 'a', 'A', 1, 'live',"
    " 'schedule', now(), now(), 'waiting', now(), '{}', now())"
)


def test_an_older_version_that_went_on_after_a_restore_is_left_as_it_is(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    older = postgres.create_database(f"went_on_{tmp_path.name[-4:]}".replace("-", "_"))
    migrate(Database(older, max_connections=1), MIGRATIONS, to="0035")
    mark_restored(older, None)
    with psycopg.connect(older) as connection:
        connection.execute(INSERT_OLD)

    migrate(Database(older, max_connections=1), MIGRATIONS)

    assert ask(older, "SELECT 1 FROM execution_stops") == []
    assert ask(older, "SELECT 1 FROM emergency_stops") == []


@pytest.mark.parametrize("schema", ["0027", "0035"])
def test_a_backup_of_an_older_schema_ends_with_its_migration(
    postgres: EmbeddedPostgres, kept: Places, fresh: Places, tmp_path: Path, schema: str
) -> None:
    older = postgres.create_database(f"older_{schema}_{tmp_path.name[-4:]}".replace("-", "_"))
    migrate(Database(older, max_connections=1), MIGRATIONS, to=schema)
    with psycopg.connect(older) as connection:
        connection.execute(INSERT_OLD)
    places = Places(
        databases={**kept.databases, "push_blaster": older}, data_folder=kept.data_folder
    )
    save(places, tmp_path / "backup")
    restore(tmp_path / "backup", fresh)
    url = fresh.databases["push_blaster"]

    for _ in range(2):
        migrate(Database(url, max_connections=1), MIGRATIONS)

    assert ask(url, "SELECT execution_id FROM execution_stops") == [("e",)]
    assert len(ask(url, "SELECT 1 FROM emergency_stops WHERE finished_at IS NULL")) == 1


def test_what_another_program_restored_can_be_marked(
    kept: Places, settings: None, tmp_path: Path
) -> None:
    url = kept.databases["push_blaster"]
    open_execution(url, 1, utc_now())

    done = CliRunner().invoke(main, ["mark-restored", "--saved-at", "2026-11-30 02:00:00"])

    assert done.exit_code == 0, done.output
    assert "is unknown" in done.output
    assert ask(url, "SELECT saved_at FROM restores") == [(datetime(2026, 11, 30, 2, tzinfo=UTC),)]
    assert ask(url, "SELECT execution_id FROM execution_stops") == [("restored-1",)]


def test_an_empty_database_is_not_marked_and_the_command_says_so(
    fresh: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSH_BLASTER_DATABASE_URL", fresh.databases["push_blaster"])

    done = CliRunner().invoke(main, ["mark-restored"])

    assert done.exit_code == 1
    assert "restore it first" in done.output


def test_a_migration_of_a_database_that_nobody_restored_stops_nothing(kept: Places) -> None:
    url = kept.databases["push_blaster"]
    open_execution(url, 1, utc_now())

    ask(url, "SELECT end_restored()")

    assert ask(url, "SELECT 1 FROM execution_stops UNION SELECT 1 FROM emergency_stops") == []
