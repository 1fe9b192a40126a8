"""push_blaster's database, emptied after each test, its app, and the bench: for every folder."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.migrations import migrate
from chassis.postgres import Database
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.delivery.pacing import TokenBucket
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.app import create_app
from push_blaster.cli import MIGRATIONS
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.context import SendContext
from push_blaster.wiring import connect_adapters
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for
from tests.scripts import SCRIPT

TABLES = (
    "executions, execution_phases, execution_pushes, send_batches, deliveries, execution_log,"
    " schedule_marks, engines, devices, violations, over_cap, alerts, tokens, sign_in_failures,"
    " script_runs"
)


@pytest.fixture(scope="session")
def push_url(postgres: EmbeddedPostgres) -> str:
    url = postgres.create_database("push_tests")
    database = Database(url, max_connections=1)
    migrate(database, MIGRATIONS)
    database.close()
    return url


@pytest.fixture
def database(push_url: str) -> Iterator[Database]:
    database = Database(push_url, max_connections=6)
    yield database
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLES}")
    database.close()


@pytest.fixture
def app(push_url: str, database: Database, tmp_path: Path) -> Iterator[Flask]:
    settings = settings_for(push_url, tmp_path)
    adapters = connect_adapters(settings)
    yield create_app(settings, adapters)
    adapters.database.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    return client


@pytest.fixture
def bench(database: Database, cadence_service: str, tmp_path: Path) -> Bench:
    (tmp_path / "scripts").mkdir(exist_ok=True)
    made: list[Bench] = []
    context = SendContext(
        database=database,
        transport=FileTransport(tmp_path / "messages.jsonl"),
        cadence=CadenceClient(cadence_service, CADENCE_TOKEN),
        scripts=ScriptFolder(tmp_path / "scripts"),
        data_folder=tmp_path,
        pacer=TokenBucket(60_000_000),
        limits=Limits(batch_size=20, min_window=timedelta(0)),
        clock=lambda: made[0].now,
        is_shutting_down=lambda: made[0].is_shutting_down(),
    )
    made.append(Bench(database, tmp_path, context))
    made[0].write_script(SCRIPT)
    return made[0]
