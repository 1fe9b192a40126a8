"""push_blaster over a real PostgreSQL, emptied after each test, and a data folder of its own."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.bearer_auth import Role
from chassis.migrations import migrate
from chassis.postgres import Database
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.app import create_app
from push_blaster.cli import MIGRATIONS
from push_blaster.delivery_settings import DeliverySettings
from push_blaster.domain.executions.limits import Limits
from push_blaster.settings import AlertSettings, EngineSettings, Settings
from push_blaster.wiring import connect_adapters

TABLES = (
    "executions, execution_phases, execution_pushes, send_batches, deliveries, execution_log,"
    " schedule_marks, engines, devices, violations, over_cap, alerts, tokens, sign_in_failures,"
    " script_runs"
)


def settings_for(database_url: str, data_folder: Path) -> Settings:
    return Settings(
        database_url=database_url,
        database_pool_size=8,
        data_folder=data_folder,
        cadence_url="http://127.0.0.1:1",
        cadence_token="t",
        tokens={"admin": Role.ADMIN, "operator": Role.OPERATOR, "viewer": Role.VIEWER},
        host="127.0.0.1",
        port=0,
        web_workers=1,
        log_format="json",
        delivery=DeliverySettings(),
        alerts=AlertSettings(),
        send_wait=timedelta(0),
        engine=EngineSettings(
            concurrent_executions=2,
            concurrent_batches=2,
            rate_per_minute=6_000_000,
            ramp=timedelta(0),
            dead_after=timedelta(seconds=5),
            limits=Limits(),
        ),
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
