"""Migrated databases and a data folder to back up, and empty ones to restore into."""

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from cadence_service.adapters.partitions import make_partitions
from cadence_service.cli import MIGRATIONS as CADENCE_MIGRATIONS
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres, find_binaries
from push_backup.places import Places
from push_blaster.cli import MIGRATIONS


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(find_binaries()), prepend=os.pathsep)


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedPostgres) -> Mapping[str, str]:
    """The names of two migrated databases that tests copy."""
    names = {name: f"{name}_{uuid4().hex[:8]}" for name in ("push_blaster", "cadence")}
    migrate(
        Database(postgres.create_database(names["push_blaster"]), max_connections=1), MIGRATIONS
    )
    history = BulkDatabase(postgres.create_database(names["cadence"]), max_connections=1)
    migrate(history, CADENCE_MIGRATIONS)
    make_partitions(history, utc_now())
    history.close()
    return names


@pytest.fixture
def kept(postgres: EmbeddedPostgres, migrated: Mapping[str, str], tmp_path: Path) -> Places:
    """Migrated databases with a mark of the schedule, and a data folder with two files."""
    urls = {}
    for name, template in migrated.items():
        copy = f"{name}_{uuid4().hex[:8]}"
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(copy), sql.Identifier(template)
                )
            )
        urls[name] = postgres.url(copy)
    with psycopg.connect(urls["push_blaster"]) as connection:
        connection.execute(
            "INSERT INTO schedule_marks (automation_id, fingerprint, decided_until)"
            " VALUES ('ä', 'f', now())"
        )
    folder = tmp_path / "data"
    (folder / "automations").mkdir(parents=True)
    (folder / "automations" / "news.json").write_text('{"name": "Neues"}')
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("18")
    return Places(databases=urls, data_folder=folder)


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, tmp_path: Path) -> Places:
    """Empty databases, and a data folder that is not there yet."""
    urls = {
        name: postgres.create_database(f"{name}_{uuid4().hex[:8]}")
        for name in ("push_blaster", "cadence")
    }
    return Places(databases=urls, data_folder=tmp_path / "fresh")


@pytest.fixture
def settings(kept: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the services name what is kept."""
    monkeypatch.setenv("PUSH_BLASTER_DATABASE_URL", kept.databases["push_blaster"])
    monkeypatch.setenv("PUSH_CADENCE_DATABASE_URL", kept.databases["cadence"])
    monkeypatch.setenv("PUSH_DATA_DIR", str(kept.data_folder))
