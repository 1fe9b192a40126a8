"""The cadence service over a real PostgreSQL, emptied after each test."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cadence_service.adapters.partitions import make_partitions
from cadence_service.app import create_app
from cadence_service.cli import MIGRATIONS
from cadence_service.settings import Settings
from chassis.bearer_auth import Role
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import Database
from local_stack.embedded_postgres import EmbeddedPostgres

TOKEN = "cadence-admin"


def settings_for(database_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        database_pool_size=8,
        tokens={TOKEN: Role.ADMIN, "narrow": Role.OPERATOR},
        host="127.0.0.1",
        port=0,
        workers=1,
        log_format="json",
    )


@pytest.fixture(scope="session")
def cadence_url(postgres: EmbeddedPostgres) -> str:
    url = postgres.create_database("cadence_tests")
    database = Database(url, max_connections=1)
    migrate(database, MIGRATIONS)
    with database.transaction() as connection:
        make_partitions(connection, utc_now())
    database.close()
    return url


@pytest.fixture(scope="session")
def cadence_app(cadence_url: str) -> Flask:
    return create_app(settings_for(cadence_url))


@pytest.fixture
def database(cadence_url: str) -> Iterator[Database]:
    database = Database(cadence_url, max_connections=4)
    yield database
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE user_notifications, notification_keys, messages")
        cursor.execute("DELETE FROM cadence_rules WHERE set_version > 1")
        cursor.execute("DELETE FROM rule_sets WHERE version > 1")
        cursor.execute(
            "UPDATE cadence_rules SET is_active = true; "
            "UPDATE notification_layers SET is_exempt = id IN (1, 4)"
        )
    database.close()


@pytest.fixture
def cadence(cadence_app: Flask, database: Database) -> FlaskClient:
    client = cadence_app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client
