"""Health, readiness and metrics of each process say the same of a database that does not fit."""

import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from cadence_service.app import create_app as create_cadence
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.app import create_app
from push_blaster.engine_probes import make_engine_probes
from push_blaster.wiring import connect_adapters
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.databases import copy_database
from tests.push_blaster.settings import settings_for


@dataclass
class Process:
    """The app of a process over a database of its own."""

    app: Flask
    url: str
    token: str
    command: str
    health: tuple[str, ...]
    up: str | None

    def ask(self, path: str) -> tuple[int, str]:
        answer = self.as_caller().get(path)
        return answer.status_code, answer.text

    def as_caller(self) -> FlaskClient:
        client = self.app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.token}"
        return client

    def change(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


def make_process(kind: str, url: str, folder: Path) -> Process:
    settings = settings_for(url, folder)
    ready, migrate = "/health/ready", "push-blaster migrate"
    if kind == "web":
        paths = ("/health", "/api/health", ready)
        return Process(create_app(settings), url, "admin", migrate, paths, "push_database_up")
    if kind == "engine":
        database = connect_adapters(settings).database
        app = make_engine_probes(settings.tokens, database, metrics_open=False)
        return Process(app, url, "admin", migrate, (ready,), None)
    app, command = create_cadence(cadence_settings(url)), "cadence-service migrate"
    return Process(app, url, CADENCE_TOKEN, command, ("/health", ready), "cadence_database_up")


@pytest.fixture(params=["web", "engine", "cadence"])
def process(
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    cadence_template: str,
    tmp_path: Path,
) -> Process:
    """A process over a database that says that it is migrated."""
    name = f"schema_{request.param}_{time.monotonic_ns()}"
    if request.param == "cadence":
        return make_process("cadence", copy_database(postgres, cadence_template, name), tmp_path)
    process = make_process(request.param, postgres.create_database(name), tmp_path)
    process.change("CREATE TABLE alembic_version (version_num text)")
    process.change("INSERT INTO alembic_version VALUES ('0001')")
    return process


@pytest.fixture(params=["web", "engine", "cadence"])
def unmigrated(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, tmp_path: Path
) -> Process:
    """A process over a database without a table."""
    name = f"empty_{request.param}_{time.monotonic_ns()}"
    return make_process(request.param, postgres.create_database(name), tmp_path)


def check_unready(process: Process, *words: str) -> None:
    """Check that every answer says `words` to a caller, and nothing but a word to a stranger."""
    for path in process.health:
        status, text = process.ask(path)
        assert status == 503
        assert [word for word in words if word not in text] == []
        stranger = process.app.test_client().get(path)
        assert stranger.status_code == 503
        assert list(stranger.get_json()) == ["status"]
    if process.up:
        assert f"{process.up} 0.0" in process.ask("/metrics")[1]


def test_a_database_that_nobody_migrated_is_told_with_the_command(unmigrated: Process) -> None:
    check_unready(unmigrated, f"not migrated: run {unmigrated.command}.")


def test_routes_say_so_instead_of_failing(unmigrated: Process) -> None:
    routes = {"push_database_up": "/api/executions", "cadence_database_up": "/rules"}
    own = routes.get(str(unmigrated.up), "/health/ready")  # an engine has no other route

    status, text = unmigrated.ask(own)

    assert status == 503
    assert f"not migrated: run {unmigrated.command}." in text


def test_a_schema_behind_the_program_is_told_with_the_command(process: Process) -> None:
    process.change("UPDATE alembic_version SET version_num = '0001'")

    check_unready(process, "its schema is 0001, this program needs 00", f"Run {process.command}.")


def test_a_migration_that_was_begun_and_undone_is_told(process: Process) -> None:
    process.change("DELETE FROM alembic_version")

    check_unready(process, "its schema is empty")


def test_a_schema_ahead_of_the_program_works_and_is_told(process: Process) -> None:
    process.change("UPDATE alembic_version SET version_num = '9999'")

    for path in process.health:
        status, text = process.ask(path)
        assert "Its schema 9999 is newer than this program" in text
        assert (status == 200) or '"critical"' in text.replace(" ", ""), "no engine, but no schema"
    assert process.ask("/health/ready")[0] == 200
    if process.up:
        assert f"{process.up} 1.0" in process.ask("/metrics")[1]


def test_a_database_that_takes_no_writes_is_told(process: Process) -> None:
    name = process.url.split("/")[3].split("?")[0]
    process.change(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    check_unready(process, "takes no writes")
