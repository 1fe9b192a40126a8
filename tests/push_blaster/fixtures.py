"""push_blaster's database, emptied after each test, its app, and the bench: for every folder."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.postgres import Database
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.delivery.pacing import TokenBucket
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.app import create_app
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.context import SendContext
from push_blaster.wiring import connect_adapters
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.databases import empty_tables, make_push_database
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for
from tests.scripts import SCRIPT

#: What tests write to, tables that refer to others first.
TABLES = (
    *("deliveries", "send_batches", "execution_log", "execution_pushes", "execution_phases"),
    *("violations", "over_cap", "alerts", "alert_deliveries", "alert_destinations"),
    *("script_runs", "doubted_devices", "dismissals", "executions"),
    *("schedule_marks", "engines", "devices", "previous_secrets", "tokens", "sessions"),
    *("people_labels", "people", "used_sign_ins"),
    *("idempotency_keys", "execution_stops", "emergency_stops", "suspensions", "restores"),
    *("script_run_stops", "automation_versions", "test_devices", "unsent_forms"),
    *("opt_outs", "opt_out_taps", "sampled_pushes", "erasures", "erased_users"),
    *("event_inbox", "events", "first_events", "result_counts", "result_pushes", "receipt_keys"),
    *("conversion_inbox", "attributions", "conversions", "attributed_executions"),
    *("procrastinate_jobs", "procrastinate_workers"),
)


@pytest.fixture(scope="session")
def push_url(postgres: EmbeddedPostgres) -> str:
    return make_push_database(postgres, "push_tests")


@pytest.fixture(scope="session")
def push_pool(push_url: str) -> Iterator[Database]:
    database = Database(push_url, max_connections=10)
    yield database
    database.close()


@pytest.fixture
def database(push_pool: Database) -> Iterator[Database]:
    """push_blaster's database, as it was migrated; emptied after the test."""
    yield push_pool
    empty_tables(push_pool, TABLES)


@pytest.fixture(scope="session")
def data_link(open_folder: Path) -> Path:
    """Where the app of all tests looks for its data folder; each test lets it lead to its own."""
    link, first = open_folder / "push data", open_folder / "no test's push data"
    first.mkdir()
    link.symlink_to(first)
    return link


@pytest.fixture(scope="session")
def shared_app(push_url: str, push_pool: Database, data_link: Path) -> Flask:
    """The app of all tests; it takes long to make."""
    settings = settings_for(push_url, data_link)
    return create_app(settings, replace(connect_adapters(settings), database=push_pool))


@pytest.fixture(scope="session")
def app_beside_cadence(
    push_url: str, push_pool: Database, data_link: Path, cadence_url: str
) -> Flask:
    """An app like `shared_app`, which reaches a cadence service."""
    settings = settings_for(push_url, data_link)
    reached = replace(settings, cadence_url=cadence_url, cadence_token=CADENCE_TOKEN)
    return create_app(reached, replace(connect_adapters(reached), database=push_pool))


@pytest.fixture
def app(
    shared_app: Flask, data_link: Path, push_url: str, database: Database, tmp_path: Path
) -> Flask:
    """The app, over an empty database and the data folder `tmp_path`."""
    connect_adapters(settings_for(push_url, tmp_path))  # makes the folders, as at a start
    data_link.unlink()
    data_link.symlink_to(tmp_path)
    return shared_app


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
