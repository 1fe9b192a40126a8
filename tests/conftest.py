"""One PostgreSQL for each test process, and the cadence service over it, for every test folder."""

import gc
from collections.abc import Iterator
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from xdist.remote import Producer

from cadence_service.adapters.partitions import make_partitions
from cadence_service.app import create_app
from cadence_service.cli import MIGRATIONS
from chassis.clock import CLOCK, ReferenceClock, utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase
from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.databases import FAST, copy_database, empty_tables
from tests.markers import find_markers, find_rank, leaves_out
from tests.scheduling import GroupScheduling
from tests.serving import serving

#: What tests of the cadence service write to, tables that refer to others first.
CADENCE_TABLES = (
    *("user_notifications", "notification_keys", "messages", "held_slots"),
    *("reservation_exclusions", "reservation_parts", "reservations", "rule_changes", "imports"),
    "history_changes",
)

# A check tries the same cases each time, so that a change fails for its own faults only.
# `make fuzz` tries new ones.
settings.register_profile("repeatable", derandomize=True)
if "FUZZ_CASES" not in environ:
    settings.load_profile("repeatable")

pytest_plugins = ["tests.push_blaster.fixtures"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by what they need, and put first what takes long."""
    paths = {item: item.path.relative_to(config.rootpath).as_posix() for item in items}
    for item, path in paths.items():
        for name in find_markers(path, getattr(item, "fixturenames", ())):
            item.add_marker(name)
    items.sort(key=lambda item: find_rank(paths[item], {m.name for m in item.iter_markers()}))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file of which `-m` takes no test: some of them import much."""
    path = collection_path.relative_to(config.rootpath).as_posix()
    folder = path + "/" if collection_path.is_dir() else path
    return True if leaves_out(config.option.markexpr, folder) else None


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all tests and modules again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    config.option.loadscopereorder = False  # their order is ours
    return GroupScheduling(config, log)


@pytest.fixture(autouse=True)
def machine_clock() -> Iterator[None]:
    """The process's clock is the machine's again after a test that compared it with a database."""
    yield
    vars(CLOCK).update(vars(ReferenceClock()))


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A temporary folder that a server without privileges can enter, where root runs the tests."""
    with TemporaryDirectory(prefix="push-tests-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def place(open_folder: Path) -> Path:
    """A name within it for this test; nothing is there yet."""
    return open_folder / uuid4().hex


@pytest.fixture(scope="session")
def postgres(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    with run_postgres(open_folder / "postgres", FAST) as server:
        yield server


@pytest.fixture(scope="session")
def cadence_template(postgres: EmbeddedPostgres) -> str:
    """A migrated database of the cadence service, to be copied; nothing is connected to it."""
    database = BulkDatabase(postgres.create_database("cadence_template"), max_connections=1)
    migrate(database, MIGRATIONS)
    database.close()
    return "cadence_template"


@pytest.fixture(scope="session")
def cadence_app(postgres: EmbeddedPostgres, cadence_template: str) -> Flask:
    url = copy_database(postgres, cadence_template, "cadence_tests")
    database = BulkDatabase(url, max_connections=1)
    make_partitions(database, utc_now())
    database.close()
    return create_app(cadence_settings(url))


@pytest.fixture(scope="session")
def cadence_pool(postgres: EmbeddedPostgres, cadence_app: Flask) -> Iterator[BulkDatabase]:
    database = BulkDatabase(postgres.url("cadence_tests"), max_connections=4)
    yield database
    database.close()


@pytest.fixture
def cadence_database(cadence_pool: BulkDatabase) -> Iterator[BulkDatabase]:
    """The cadence service's database, as it was migrated; emptied after the test."""
    yield cadence_pool
    empty_tables(cadence_pool, CADENCE_TABLES)
    with cadence_pool.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM cadence_rules WHERE set_version > 1;"
            " DELETE FROM rule_sets WHERE version > 1;"
            " UPDATE cadence_rules SET is_active = true WHERE NOT is_active;"
            " UPDATE notification_layers SET is_exempt = NOT is_exempt"
            " WHERE is_exempt IS DISTINCT FROM (id IN (1, 4))"
        )


@pytest.fixture
def cadence(cadence_app: Flask, cadence_database: BulkDatabase) -> FlaskClient:
    client = cadence_app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CADENCE_TOKEN}"
    return client


@pytest.fixture(scope="session")
def cadence_url(cadence_app: Flask) -> Iterator[str]:
    """The cadence service of all tests behind a real socket: its URL."""
    with serving(cadence_app) as url:
        yield url


@pytest.fixture
def cadence_service(cadence_url: str, cadence_database: BulkDatabase) -> str:
    """The URL of the cadence service, whose database is emptied after the test."""
    return cadence_url
