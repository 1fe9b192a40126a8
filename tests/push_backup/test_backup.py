"""A real backup of both databases and the data folder, restored into new ones, is all the same."""

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from cadence_service.adapters.partitions import make_partitions
from cadence_service.cli import MIGRATIONS as CADENCE_MIGRATIONS
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres, find_binaries
from push_backup.backup import BackupError, Places, restore, save
from push_backup.cli import main
from push_blaster.cli import MIGRATIONS


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(find_binaries()), prepend=os.pathsep)


def places(postgres: EmbeddedPostgres, folder: Path) -> Places:
    mark = uuid4().hex[:8]
    names = ("push_blaster", "cadence")
    urls = {name: postgres.create_database(f"{name}_{mark}") for name in names}
    return Places(databases=urls, data_folder=folder)


@pytest.fixture
def kept(postgres: EmbeddedPostgres, tmp_path: Path) -> Places:
    """Migrated databases with a device and a notification in them, and two files."""
    made = places(postgres, tmp_path / "data")
    push, cadence = made.databases.values()
    migrate(Database(push, max_connections=1), MIGRATIONS)
    history = BulkDatabase(cadence, max_connections=1)
    migrate(history, CADENCE_MIGRATIONS)
    make_partitions(history, utc_now())
    with psycopg.connect(push) as connection:
        connection.execute(
            "INSERT INTO schedule_marks (automation_id, fingerprint, decided_until)"
            " VALUES ('ä', 'f', now())"
        )
    (made.data_folder / "automations").mkdir(parents=True)
    (made.data_folder / "automations" / "news.json").write_text('{"name": "Neues"}')
    (made.data_folder / "postgres").mkdir()
    (made.data_folder / "postgres" / "PG_VERSION").write_text("18")
    return made


def contents(url: str) -> Mapping[str, object]:
    """Return every table's rows, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
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


def test_what_is_restored_is_what_was_saved(
    postgres: EmbeddedPostgres, kept: Places, tmp_path: Path
) -> None:
    fresh = places(postgres, tmp_path / "fresh")

    save(kept, tmp_path / "backup")
    restore(tmp_path / "backup", fresh)

    for name, url in kept.databases.items():
        assert contents(fresh.databases[name]) == contents(url)
    assert len(contents(fresh.databases["push_blaster"])["schedule_marks"]) == 1  # type: ignore[arg-type]  # rows
    restored = [p.relative_to(fresh.data_folder) for p in fresh.data_folder.rglob("*.*")]
    assert restored == [Path("automations/news.json")]
    migrate(Database(fresh.databases["push_blaster"], max_connections=1), MIGRATIONS)


def test_a_damaged_backup_is_not_restored(
    postgres: EmbeddedPostgres, kept: Places, tmp_path: Path
) -> None:
    fresh = places(postgres, tmp_path / "fresh")
    save(kept, tmp_path / "backup")
    with (tmp_path / "backup" / "cadence.dump").open("r+b") as dump:
        dump.seek(100)
        dump.write(b"x")

    with pytest.raises(BackupError, match="damaged"):
        restore(tmp_path / "backup", fresh)

    assert contents(fresh.databases["push_blaster"]) == {}


def test_nothing_is_restored_over_what_is_there(kept: Places, tmp_path: Path) -> None:
    save(kept, tmp_path / "backup")

    with pytest.raises(BackupError, match="push_blaster is not empty"):
        restore(tmp_path / "backup", kept)
    with pytest.raises(BackupError, match="there already"):
        save(kept, tmp_path / "backup")


def test_a_backup_that_failed_half_way_is_none(kept: Places, tmp_path: Path) -> None:
    away = Places(
        databases={**kept.databases, "cadence": "postgresql://127.0.0.1:9/none"},
        data_folder=kept.data_folder,
    )

    with pytest.raises(BackupError, match="pg_dump failed"):
        save(away, tmp_path / "backup")

    assert not (tmp_path / "backup").exists()


def test_one_command_each_with_the_services_own_settings(
    postgres: EmbeddedPostgres, kept: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, kept)
    backup = str(tmp_path / "backup")
    commands = CliRunner()
    assert commands.invoke(main, ["save", backup]).exit_code == 0
    assert commands.invoke(main, ["check", backup]).exit_code == 0

    set_environment(monkeypatch, places(postgres, tmp_path / "fresh"))
    assert commands.invoke(main, ["restore", backup]).exit_code == 0
    again = commands.invoke(main, ["restore", backup])

    assert again.exit_code == 1
    assert "is not empty" in again.output


def set_environment(monkeypatch: pytest.MonkeyPatch, kept: Places) -> None:
    monkeypatch.setenv("PUSH_BLASTER_DATABASE_URL", kept.databases["push_blaster"])
    monkeypatch.setenv("PUSH_CADENCE_DATABASE_URL", kept.databases["cadence"])
    monkeypatch.setenv("PUSH_DATA_DIR", str(kept.data_folder))
