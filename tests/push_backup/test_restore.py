"""A restore brings back what was saved, touches nothing else, and can be repeated."""

from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import Database
from push_backup.backup import save
from push_backup.cli import main
from push_backup.places import BackupError, Places
from push_backup.restore import restore
from push_blaster.adapters.engagement.receipt_keys import select_receipt_keys
from push_blaster.cli import MIGRATIONS
from push_blaster.use_cases.engagement.read_receipts import ReceiptReader
from tests.people import ALICE


def contents(url: str) -> Mapping[str, list[str]]:
    """Return every table's rows, as text, but for the mark of a restore."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename NOT IN ('restores', 'emergency_stops') ORDER BY 1"  # the mark
        ).fetchall()
        return {
            name: sorted(
                str(row)
                for row in connection.execute(
                    sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
                )
            )
            for (name,) in tables
        }


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def test_what_is_restored_is_what_was_saved(kept: Places, fresh: Places, tmp_path: Path) -> None:
    save(kept, tmp_path / "backup")

    restore(tmp_path / "backup", fresh)

    for name, url in kept.databases.items():
        assert contents(fresh.databases[name]) == contents(url)
    assert len(contents(fresh.databases["push_blaster"])["schedule_marks"]) == 1
    restored = [p.relative_to(fresh.data_folder) for p in fresh.data_folder.rglob("*.*")]
    assert restored == [Path("automations/news.json")]
    migrate(Database(fresh.databases["push_blaster"], max_connections=1), MIGRATIONS)


def test_a_receipt_from_before_a_backup_is_proved_after_the_restore(
    kept: Places, fresh: Places, tmp_path: Path
) -> None:
    with Database(kept.databases["push_blaster"], max_connections=1).transaction() as connection:
        keys = select_receipt_keys(connection, utc_now())
    receipt = keys.writer(7, 2, is_test=False, is_dry_run=False)(ALICE, 1)
    save(kept, tmp_path / "backup")

    restore(tmp_path / "backup", fresh)

    reader = ReceiptReader(Database(fresh.databases["push_blaster"], max_connections=1))
    found = reader(receipt)
    assert (found.execution_number, found.position, found.user_id) == (7, 2, ALICE)


def test_a_damaged_backup_is_not_restored(kept: Places, fresh: Places, tmp_path: Path) -> None:
    save(kept, tmp_path / "backup")
    with (tmp_path / "backup" / "cadence.dump").open("r+b") as dump:
        dump.seek(100)
        dump.write(b"x")

    with pytest.raises(BackupError, match="damaged"):
        restore(tmp_path / "backup", fresh)

    assert contents(fresh.databases["push_blaster"]) == {}
    assert not fresh.data_folder.exists()


@pytest.mark.parametrize("database", ["push_blaster", "cadence"])
def test_a_backup_of_a_newer_schema_is_refused_before_anything_is_touched(
    kept: Places, fresh: Places, tmp_path: Path, database: str
) -> None:
    run(kept.databases[database], "UPDATE alembic_version SET version_num = '9999'")
    save(kept, tmp_path / "backup")

    with pytest.raises(BackupError, match=f"schema 9999 of {database}.*Install the version"):
        restore(tmp_path / "backup", fresh)

    assert contents(fresh.databases["push_blaster"]) == {}
    assert not fresh.data_folder.exists()


def test_nothing_is_restored_over_data(kept: Places, tmp_path: Path) -> None:
    save(kept, tmp_path / "backup")

    with pytest.raises(BackupError, match="push_blaster is not empty"):
        restore(tmp_path / "backup", kept)
    with pytest.raises(BackupError, match="there already"):
        save(kept, tmp_path / "backup")


def test_tables_of_another_schema_are_data_and_are_saved(
    kept: Places, fresh: Places, tmp_path: Path
) -> None:
    run(
        kept.databases["cadence"],
        "CREATE SCHEMA mine; CREATE TABLE mine.notes AS SELECT 7 AS number",
    )
    save(kept, tmp_path / "backup")
    run(fresh.databases["cadence"], "CREATE SCHEMA other CREATE TABLE theirs (id integer)")

    with pytest.raises(BackupError, match="cadence is not empty"):
        restore(tmp_path / "backup", fresh)
    run(fresh.databases["cadence"], "DROP SCHEMA other CASCADE")
    restore(tmp_path / "backup", fresh)

    with psycopg.connect(fresh.databases["cadence"]) as connection:
        assert connection.execute("SELECT number FROM mine.notes").fetchall() == [(7,)]


def test_a_restore_that_failed_half_way_goes_on_when_it_is_repeated(
    kept: Places, fresh: Places, tmp_path: Path
) -> None:
    save(kept, tmp_path / "backup")
    (kept.data_folder / "automations" / "later.json").write_text("{}")
    save(kept, tmp_path / "other")
    run(fresh.databases["cadence"], "CREATE TYPE user_notifications AS ENUM ('in the way')")

    with pytest.raises(BackupError, match="pg_restore failed"):
        restore(tmp_path / "backup", fresh)
    with pytest.raises(BackupError, match="half restored from another backup"):
        restore(tmp_path / "other", fresh)
    run(fresh.databases["cadence"], "DROP TYPE user_notifications")
    restore(tmp_path / "backup", fresh)

    for name, url in kept.databases.items():
        assert contents(fresh.databases[name]) == contents(url)
    assert [path.name for path in fresh.data_folder.iterdir()] == ["automations"]


def test_one_command_each_with_the_services_own_settings(
    kept: Places, fresh: Places, settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = str(tmp_path / "backup")
    commands = CliRunner()
    assert commands.invoke(main, ["save", backup]).exit_code == 0
    assert commands.invoke(main, ["check", backup]).exit_code == 0

    monkeypatch.setenv("PUSH_BLASTER_DATABASE_URL", fresh.databases["push_blaster"])
    monkeypatch.setenv("PUSH_CADENCE_DATABASE_URL", fresh.databases["cadence"])
    monkeypatch.setenv("PUSH_DATA_DIR", str(fresh.data_folder))
    assert commands.invoke(main, ["restore", backup]).exit_code == 0
    again = commands.invoke(main, ["restore", backup])

    assert again.exit_code == 1
    assert "is not empty" in again.output


@pytest.mark.parametrize(
    "url", ["notaurl", "ftp://push:secret@host/x", "postgresql://h:99999999/x"]
)
def test_a_malformed_url_is_named_without_its_password(
    settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("PUSH_CADENCE_DATABASE_URL", url)

    told = CliRunner().invoke(main, ["save", str(tmp_path / "backup")])

    assert told.exit_code == 1
    assert isinstance(told.exception, SystemExit)
    assert "secret" not in told.output
    assert len(told.output.splitlines()) == 1
