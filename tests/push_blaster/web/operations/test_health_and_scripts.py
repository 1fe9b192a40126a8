"""Routes about health, scripts and the API itself."""

import socket
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import Comparison, utc_now
from chassis.postgres import Database
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.app import create_app
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.page_support import Visitor

#: Health promises an answer within two seconds; a busy machine gets a little more.
SECONDS = 2.5

MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
HEADER = '''"""Whoever was active.

Name: Active users
Category: activity
Estimated runtime: 30
Audiences: recent_buyers, recent_sellers
"""
'''


def test_without_an_engine_health_is_critical_and_says_so(client: FlaskClient) -> None:
    response = client.get("/api/health")

    assert response.status_code == 503
    assert response.get_json()["status"] == "critical"
    assert response.get_json()["automationEngine"]["engines"] == []


def test_with_an_engine_and_no_cadence_health_is_degraded(
    client: FlaskClient, database: Database
) -> None:
    with database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now())

    response = client.get("/health")

    assert response.status_code == 200
    body = response.get_json()
    assert body["status"] == "degraded"
    assert body["automationEngine"]["engines"] == ["here:1"]
    assert body["dependencies"]["database"] == "connected"
    assert body["dependencies"]["cadence"] == "unreachable"
    assert "did not answer" in body["problems"][0]


@pytest.mark.parametrize(
    ("clocks", "status", "said"),
    [
        (Comparison(timedelta(minutes=5), MS), "degraded", "+300.0 s off the database's"),
        (Comparison(-2 * HOUR, MS), "degraded", "-7200.0 s off the database's"),
        (Comparison(-HOUR, MS, HOUR), "critical", "begins and sends nothing"),
        (Comparison(MS, MS, -HOUR), "critical", "parted by -3600.0 s"),
    ],
)
def test_an_engine_whose_clock_is_wrong_is_told(
    client: FlaskClient, database: Database, clocks: Comparison, status: str, said: str
) -> None:
    with database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now(), clocks=clocks)

    body = client.get("/health").get_json()

    assert body["status"] == status
    assert any(said in problem for problem in body["problems"])
    (shown,) = body["automationEngine"]["clocks"]
    assert shown["aheadSeconds"] == clocks.ahead.total_seconds()
    assert shown["holds"] is (clocks.jump is not None)


def test_another_engine_that_works_makes_a_holding_one_less_bad(
    client: FlaskClient, database: Database
) -> None:
    with database.transaction() as connection:
        beat(connection, "holds:1", utc_now(), utc_now(), clocks=Comparison(MS, MS, HOUR))
        beat(connection, "works:1", utc_now(), utc_now(), clocks=Comparison(MS, MS))

    assert client.get("/health").get_json()["status"] == "degraded"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (None, []),
        (1, []),
        (2, ["engines: 1 of the 2 expected engines (PUSH_EXPECTED_ENGINES) are alive"]),
    ],
)
def test_fewer_engines_than_expected_are_a_problem(
    push_url: str, database: Database, tmp_path: Path, expected: int | None, said: list[str]
) -> None:
    with database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now())
    settings = replace(settings_for(push_url, tmp_path), expected_engines=expected)
    client = create_app(settings).test_client()

    body = client.get("/health", headers={"Authorization": "Bearer viewer"}).get_json()

    assert [problem for problem in body["problems"] if problem.startswith("engines")] == said
    assert body["status"] == "degraded", "there is no cadence service, either"


def test_without_a_database_health_still_answers(tmp_path: Path) -> None:
    app = create_app(settings_for("postgresql://nobody@127.0.0.1:9/none", tmp_path))

    response = app.test_client().get("/health", headers={"Authorization": "Bearer viewer"})

    assert response.status_code == 503
    assert response.get_json()["dependencies"]["database"] == "degraded"
    assert "away" in response.get_json()["problems"][0]


@pytest.mark.parametrize(
    ("table", "unknown"), [("executions", "executions"), ("schedule_marks", "clock")]
)
def test_health_answers_while_somebody_holds_a_table(
    client: FlaskClient, database: Database, table: str, unknown: str
) -> None:
    """ALTER TABLE in a transaction that nobody ends keeps every reader waiting."""
    with database.transaction() as connection:
        beat(connection, "here:1", utc_now(), utc_now())
    holder = database.connect()
    try:
        holder.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        answers = [client.get(path) for path in ("/api/health", "/metrics", "/health/ready")]
        took = time.monotonic() - begun
    finally:
        holder.rollback()
        holder.close()

    assert took < 3 * SECONDS
    problems = answers[0].get_json()["problems"]
    assert [problem for problem in problems if problem.startswith(f"{unknown}: ")]
    assert "push_database_up 1.0" in answers[1].text
    assert answers[2].status_code == 200


@pytest.mark.parametrize("path", ["/health", "/api/health", "/health/ready", "/metrics"])
def test_health_answers_callers_whose_token_cannot_be_checked_and_says_so(
    app: Flask, client: FlaskClient, database: Database, path: str
) -> None:
    made = client.post("/api/tokens", json={"name": "alice", "role": "viewer"}).get_json()
    browser = Visitor(app, "viewer").client
    stranger = app.test_client()
    holder = database.connect()
    try:
        holder.cursor().execute("LOCK TABLE tokens, sessions IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        answers = [
            stranger.get(path, headers={"Authorization": f"Bearer {made['token']}"}),
            browser.get(path),
        ]
        took = time.monotonic() - begun
        word = stranger.get(path).get_json()
        whole = client.get(path)
    finally:
        holder.rollback()
        holder.close()

    assert took < 2 * SECONDS
    for answer in answers:
        assert "the database does not answer" in answer.get_json()["message"], answer.text
    assert "the database does not answer" not in str(word)
    assert "the database does not answer" not in whole.text
    assert len(whole.text) > len("status: ready")


def test_health_answers_a_browser_while_the_key_of_its_cookie_cannot_be_read(
    app: Flask, database: Database, tmp_path: Path
) -> None:
    browser = Visitor(app, "viewer").client
    cookie = browser.get_cookie("push_session")
    assert cookie
    fresh = create_app(settings_for(database.url, tmp_path)).test_client()
    fresh.set_cookie("push_session", cookie.value)
    holder = database.connect()
    try:
        holder.cursor().execute("LOCK TABLE stored_secrets IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        answer = fresh.get("/health")
        took = time.monotonic() - begun
    finally:
        holder.rollback()
        holder.close()

    assert took < SECONDS
    assert "the database does not answer" in answer.get_json()["message"]
    assert len(fresh.get("/health").get_json()) > 2


def test_health_answers_while_cadence_hangs(push_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        app = create_app(replace(settings_for(push_url, tmp_path), cadence_url=url))

        begun = time.monotonic()
        answer = app.test_client().get("/health", headers={"Authorization": "Bearer viewer"})

    assert time.monotonic() - begun < SECONDS
    assert "cadence: no answer" in " ".join(answer.get_json()["problems"])
    assert answer.get_json()["dependencies"] == {"database": "connected", "cadence": "unreachable"}


def test_strangers_get_a_word_and_callers_the_rest(app: Flask, client: FlaskClient) -> None:
    told = {
        path: {
            name: asker.get(path, headers=headers).get_json()
            for name, asker, headers in (
                ("stranger", app.test_client(), {}),
                ("guesser", app.test_client(), {"Authorization": "Bearer a-wrong-token"}),
                ("caller", client, {}),
                ("visitor", Visitor(app, "viewer").client, {}),
            )
        }
        for path in ("/health", "/api/health", "/health/ready")
    }

    for path, answers in told.items():
        assert answers["stranger"] == answers["guesser"] == {"status": answers["caller"]["status"]}
        assert answers["caller"].keys() == answers["visitor"].keys() > {"status"}, path


def test_without_a_database_a_stranger_learns_only_that_it_is_ill(tmp_path: Path) -> None:
    settings = settings_for("postgresql://nobody:secret@127.0.0.1:9/none", tmp_path)
    client = create_app(settings).test_client()
    token = {"Authorization": "Bearer push_of-the-database"}

    paths = ("/api/health", "/health/ready")
    answers = [client.get(path, headers=token) for path in paths]
    strangers = [client.get(path).get_json() for path in paths]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert strangers == [{"status": "critical"}, {"status": "unready"}]
    for word, answer in zip(strangers, answers, strict=True):
        told = answer.get_json()
        assert "nobody can tell whose token this is" in told.pop("message")
        assert told == word


def test_private_answers_are_kept_by_no_cache(app: Flask, client: FlaskClient) -> None:
    for path in ("/api/executions", "/api/health", "/health/ready", "/metrics", "/api/none", "/"):
        assert client.get(path).headers["Cache-Control"] == "no-store", path
    style = app.test_client().get("/static/app.css")
    assert "no-store" not in style.headers["Cache-Control"]
    style.close()


def test_without_a_database_requests_are_503_with_the_reason(tmp_path: Path) -> None:
    app = create_app(settings_for("postgresql://nobody@127.0.0.1:9/none", tmp_path))

    response = app.test_client().get("/api/executions", headers={"Authorization": "Bearer admin"})

    assert response.status_code == 503
    assert "The database is away" in response.get_json()["error"]


def test_scripts_are_described_by_their_own_header(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "active.py").write_text(HEADER)
    (tmp_path / "scripts" / "broken.py").write_text("def (")

    listing = client.get("/api/scripts").get_json()
    one = client.get("/api/scripts/active").get_json()

    assert [s["id"] for s in listing["data"]] == ["active", "broken"]
    assert one in listing["data"]
    assert one["scriptPath"] == "active.py"
    assert client.get("/api/scripts/none").status_code == 404
    assert client.get("/api/scripts/..%2Fsecrets").status_code == 404


def test_the_api_describes_every_route_of_itself(client: FlaskClient) -> None:
    document = client.get("/api/openapi.json", headers={"Authorization": ""}).get_json()

    paths = document["paths"]
    assert "/api/executions/{execution_id}/stop" in paths
    assert "/api/automation/recipes/{automation_id}" in paths
    for path, methods in paths.items():
        for method, operation in methods.items():
            if method != "parameters":
                assert operation.get("summary"), f"{method} {path} says nothing of itself"
