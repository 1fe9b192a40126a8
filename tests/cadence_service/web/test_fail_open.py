"""Whatever is wrong with the rules or the database: everybody passes, it is said, and at once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient

from cadence_service.app import create_app
from cadence_service.settings import CadenceSettings
from chassis.settings import SettingsError
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.cadence_service.replicas import spread_users
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.databases import copy_database
from tests.people import ALICE, BOB

ASKED = {"userIds": [str(ALICE), "nobody", str(BOB)], "layerId": 3}
RESERVED = {**ASKED, "reservation": {"key": "k"}}
SECONDS = 2.5  # two of its own, and a noisy machine's


@pytest.fixture
def own_url(postgres: EmbeddedPostgres, cadence_template: str) -> Iterator[str]:
    """A database of its own, that may be spoilt."""
    name = f"cadence_open_{time.monotonic_ns()}"
    yield copy_database(postgres, cadence_template, name)
    connection = psycopg2.connect(postgres.url("postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


def an_app(url: str, **changes: Any) -> Flask:
    return create_app(cadence_settings(url, **{"database_pool_size": 4, **changes}))


def client_of(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CADENCE_TOKEN}"
    return client


def execute(url: str, sql: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
    connection.close()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Keep everybody else from the history."""
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE user_notifications IN ACCESS EXCLUSIVE MODE")
    yield
    connection.close()


def check(client: FlaskClient, body: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    begun = time.monotonic()

    response = client.post("/filter-audience", json=body)

    assert time.monotonic() - begun < SECONDS
    assert response.status_code == 200, response.json
    answer = response.get_json()
    assert answer["eligibleUserIds"] == [str(ALICE), str(BOB)]
    assert (answer["excludedCount"], answer["exclusionBreakdown"]["invalidUuid"]) == (1, 1)
    assert answer["failedOpen"] is True
    assert capsys.readouterr().err.count('"event": "cadence_failed_open"') == 1, "logged once"
    assert client.post("/filter-audience", json={"userIds": []}).status_code == 400
    return str(answer["failOpenReason"])


@pytest.mark.parametrize("body", [ASKED, RESERVED], ids=["plain", "reserving"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE cadence_rules SET is_active = false", "no active cadence rule"),
        ("DELETE FROM cadence_rules", "no active cadence rule"),
        ("TRUNCATE cadence_rules, rule_sets CASCADE", "no cadence rules at all"),
        ("ALTER TABLE cadence_rules RENAME TO lost", "does not exist"),
        ("ALTER TABLE rule_sets RENAME TO lost", "does not exist"),
        ("ALTER TABLE user_notifications RENAME TO lost", "does not exist"),
        ("ALTER TABLE notification_layers RENAME TO lost", "does not exist"),
    ],
)
def test_without_rules_or_tables(
    own_url: str, capsys: pytest.CaptureFixture[str], spoil: str, said: str, body: dict[str, Any]
) -> None:
    client = client_of(an_app(own_url))
    execute(own_url, spoil)

    assert said in check(client, body, capsys)


@pytest.mark.parametrize("body", [ASKED, RESERVED], ids=["plain", "reserving"])
def test_without_a_database(capsys: pytest.CaptureFixture[str], body: dict[str, Any]) -> None:
    client = client_of(an_app("postgresql://nobody@127.0.0.1:9/none"))

    assert "away" in check(client, body, capsys)


def test_a_statement_that_takes_too_long(own_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    client = client_of(an_app(own_url, statement_timeout=timedelta(milliseconds=300)))

    with locked(own_url):
        assert "statement timeout" in check(client, ASKED, capsys)


@pytest.mark.parametrize("body", [ASKED, RESERVED], ids=["plain", "reserving"])
def test_a_pool_that_is_empty_is_busy_and_says_when_to_come_again(
    own_url: str, body: dict[str, Any]
) -> None:
    app = an_app(own_url, database_pool_size=1)

    with locked(own_url), _busy(lambda: client_of(app).post("/filter-audience", json=ASKED)):
        busy = client_of(app).post("/filter-audience", json=body)

    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
    assert busy.get_json()["title"] == "Service busy"


@pytest.mark.parametrize(("size", "is_enough"), [("1", False), ("15", False), ("16", True)])
def test_a_pool_that_is_smaller_than_the_threads_need_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, size: str, is_enough: bool
) -> None:
    monkeypatch.setenv("PUSH_CADENCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("CADENCE_API_TOKEN", "token-of-the-tests")
    monkeypatch.setenv("CADENCE_DATABASE_POOL_SIZE", size)

    refused = pytest.raises(SettingsError, match="Set CADENCE_DATABASE_POOL_SIZE to 16 or more")
    with nullcontext() if is_enough else refused:
        assert CadenceSettings.from_environ().database_pool_size == 16


def test_a_reservation_that_fails_open_gives_back_what_it_took(own_url: str) -> None:
    client = client_of(an_app(own_url))
    execute(own_url, "ALTER TABLE reservation_parts RENAME TO lost")
    assert client.post("/filter-audience", json=RESERVED).get_json()["failedOpen"] is True
    execute(own_url, "ALTER TABLE lost RENAME TO reservation_parts")
    breaks_late = (
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.part > 128 THEN RAISE EXCEPTION ''late''; END IF; RETURN NEW; END';"
        "CREATE TRIGGER late BEFORE INSERT ON reservation_parts"
        " FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    execute(own_url, breaks_late)
    users = [str(user) for user in spread_users(20_000)]
    body = {"userIds": users, "layerId": 3, "reservation": {"key": "large"}}

    assert client.post("/filter-audience", json=body).get_json()["failedOpen"] is True
    other = {**body, "reservation": {"key": "other"}}
    execute(own_url, "DROP TRIGGER late ON reservation_parts")
    free = client.post("/filter-audience", json=other).get_json()
    again = client.post("/filter-audience", json=body).get_json()

    assert (free["failedOpen"], free["excludedCount"]) == (False, 0)
    assert (again["failedOpen"], again["excludedCount"]) == (False, len(users))


def test_a_database_that_is_stopped_in_mid_request(
    own_url: str, postgres: EmbeddedPostgres
) -> None:
    client = client_of(an_app(own_url))
    answers: list[Any] = []

    with (
        locked(own_url),
        _busy(lambda: answers.append(client.post("/filter-audience", json=ASKED)), ends_in_s=20),
    ):
        execute(
            postgres.url("postgres"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'cadence' AND state = 'active'",
        )

    assert answers[0].get_json()["failedOpen"] is True
    assert answers[0].get_json()["eligibleUserIds"] == [str(ALICE), str(BOB)]


@contextmanager
def _busy(work: Callable[[], object], ends_in_s: float = 0.1) -> Iterator[None]:
    """Let `work` go on in a thread meanwhile, and wait for its end afterwards, for a while."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.5)
    yield
    thread.join(ends_in_s)


def test_after_a_spell_without_rules_all_is_as_before(own_url: str) -> None:
    client = client_of(an_app(own_url))
    execute(own_url, "ALTER TABLE cadence_rules RENAME TO lost")
    assert client.post("/filter-audience", json=ASKED).get_json()["failedOpen"] is True

    execute(own_url, "ALTER TABLE lost RENAME TO cadence_rules")

    assert client.post("/filter-audience", json=ASKED).get_json()["failedOpen"] is False
