"""Whatever may change something is written down first: all of it, once and for good."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database, DatabaseFaultError
from push_blaster.adapters.access.audit_table import insert_change, update_answer
from push_blaster.app import create_app
from push_blaster.cli import main
from push_blaster.domain.access.audit import AuditedChange
from push_blaster.web.access.audit import OF_STRANGERS
from push_blaster.web.frame.csrf import READS
from tests.people import ALICE
from tests.push_blaster.settings import settings_for
from tests.routes import fill_rule

STOPS = (
    "/api/automation/emergency-stop",
    "/api/executions/x/stop",
    "/api/executions/x/cancel",
)


@pytest.fixture
def number() -> str:
    """The number of a request."""
    return uuid4().hex


@pytest.fixture
def without_log(database: Database) -> Iterator[None]:
    """A time in which nothing can be written to the audit log."""
    _run(database, "ALTER TABLE audit_log RENAME TO gone")
    yield
    _run(database, "ALTER TABLE gone RENAME TO audit_log")


def _run(database: Database, statement: str) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def _a_change(number: str = "n", actor: str | None = "alice") -> AuditedChange:
    return AuditedChange(
        at=utc_now(),
        actor=actor,
        role=None,
        method="POST",
        path="/x",
        endpoint="x",
        what="{}",
        request_id=number,
    )


def _listed(client: FlaskClient, **query: str) -> list[dict[str, object]]:
    response = client.get("/api/audit-log", query_string=query)
    assert response.status_code == 200, response.text
    changes: list[dict[str, object]] = response.get_json()["changes"]
    return changes


#: Asked by POST because of what they are told; they change nothing.
ONLY_READ = {
    "events.report",  # of anybody's phone: nothing that somebody decides
    "pages_cadence.simulate",
    "pages_dashboard.dismiss_steps",
    "pages_edit_automation.preview",
    "pages_send.look",
    "pages_send.preview",
    "pages_times.keep",
    "plans.plan_draft",
    "previews.preview_draft",
    "previews.preview_saved",
}


def _of_request(client: FlaskClient, number: str) -> dict[str, object]:
    (change,) = [c for c in _listed(client, limit="500") if c["requestId"] == number]
    return change


def test_every_route_that_may_change_something_is_written_down(
    app: Flask, client: FlaskClient
) -> None:
    sent = {}
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - READS:
            number = uuid4().hex
            answer = client.open(
                fill_rule(rule.rule), method=method, headers={"X-Request-Id": number}
            )
            sent[number] = (rule.endpoint, method, answer.status_code)

    found = {c["requestId"]: c for c in _listed(client, limit="500")}
    written = {
        number: (found[number]["endpoint"], found[number]["method"], found[number]["status"])
        for number in sent.keys() & found.keys()
    }
    silent = {sent[number][0] for number in sent.keys() - found.keys()}
    assert len(sent) > 40
    assert silent == ONLY_READ
    assert written.items() <= sent.items()


def test_a_change_tells_who_what_when_and_how_it_was_answered(
    client: FlaskClient, number: str
) -> None:
    before = utc_now()
    answer = client.post(
        "/api/executions",
        json={"automationId": "none"},
        headers={"Authorization": "Bearer operator", "X-Request-Id": number},
    )

    change = _of_request(client, number)

    assert answer.headers["X-Request-Id"] == number
    assert (change["actor"], change["role"]) == ("operator", "operator")
    assert (change["method"], change["path"]) == ("POST", "/api/executions")
    assert change["status"] == answer.status_code == 404
    assert '"automationId": "none"' in str(change["what"])
    assert before.isoformat() <= str(change["at"]) <= str(change["answeredAt"])


def test_no_secret_is_written_down(client: FlaskClient, number: str) -> None:
    device = {"userId": str(ALICE), "token": "device-secret"}
    client.post("/api/devices", json=device, headers={"X-Request-Id": number})
    client.delete("/api/devices/device-secret", headers={"X-Request-Id": f"{number}-2"})
    client.delete("/api/devices?token=device-secret", headers={"X-Request-Id": f"{number}-3"})

    for request in (number, f"{number}-2", f"{number}-3"):
        change = _of_request(client, request)
        assert "device-secret" not in f"{change['what']}{change['path']}"


def test_an_upload_is_written_down_by_its_size_alone(client: FlaskClient, number: str) -> None:
    client.post(
        "/api/devices/import",
        data=f"userId,token\n{ALICE},in-a-file\n",
        content_type="text/csv",
        headers={"X-Request-Id": number},
    )

    what = str(_of_request(client, number)["what"])

    assert "in-a-file" not in what
    assert '"type": "text/csv", "bytes": ' in what


def test_signing_in_is_written_down_with_whoever_did(client: FlaskClient, number: str) -> None:
    client.post("/sign-in", data={"token": "viewer"}, headers={"X-Request-Id": number})

    change = _of_request(client, number)

    assert (change["actor"], change["status"]) == ("viewer", 303)
    assert '"token": "***"' in str(change["what"])


@pytest.mark.slow
def test_strangers_leave_few_rows_without_content_and_none_for_429(
    push_url: str, tmp_path: Path, database: Database
) -> None:
    app, number = create_app(settings_for(push_url, tmp_path)), uuid4().hex
    stranger = app.test_client()

    def count() -> list[tuple[object, ...]]:
        with database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT what, actor, status FROM audit_log WHERE request_id = %s", [number]
            )
            return list(cursor.fetchall())

    for attempt in range(400):
        stranger.post(
            "/sign-in",
            data={"token": f"guess {attempt}", "junk": "x" * 3_000},
            headers={"X-Request-Id": number},
            environ_base={"REMOTE_ADDR": f"10.0.0.{attempt % 4}"},
        )
    for path in ("/api/devices", "/api/executions/x/stop", "/none", "/api/health"):
        stranger.post(path, json={"userId": str(ALICE)}, headers={"X-Request-Id": number})

    assert len(count()) <= OF_STRANGERS.requests + 2
    assert set(count()) == {("{}", None, 401)}


@pytest.mark.slow
def test_who_signs_in_is_written_down_however_many_strangers_tried(
    push_url: str, tmp_path: Path, client: FlaskClient, number: str
) -> None:
    stranger = create_app(settings_for(push_url, tmp_path)).test_client()
    for _ in range(OF_STRANGERS.requests + 20):
        stranger.post("/sign-in", data={"token": "guess"})

    stranger.post("/sign-in", data={"token": "viewer"}, headers={"X-Request-Id": number})

    assert _of_request(client, number)["actor"] == "viewer"


def test_nobody_signs_in_who_cannot_be_written_down(client: FlaskClient, without_log: None) -> None:
    answer = client.post("/sign-in", data={"token": "viewer"})

    assert answer.status_code == 503


def test_who_may_not_do_something_leaves_no_change(client: FlaskClient, number: str) -> None:
    headers = {"Authorization": "Bearer viewer", "X-Request-Id": number}

    assert client.post("/api/automation/emergency-stop", headers=headers).status_code == 403
    assert number not in {c["requestId"] for c in _listed(client)}


def test_nothing_is_done_that_cannot_be_written_down(
    client: FlaskClient, without_log: None, caplog: pytest.LogCaptureFixture
) -> None:
    refused = client.post("/api/devices", json={"userId": str(ALICE), "token": "t"})

    assert refused.status_code == 503
    assert "audit log cannot be written" in refused.get_json()["detail"]
    assert "change_refused_unaudited" in caplog.text
    assert (
        client.get("/api/devices", query_string={"userId": str(ALICE)}).get_json()["devices"] == []
    )


@pytest.mark.parametrize("path", STOPS)
def test_a_stop_goes_on_even_so_and_says_it_loudly(
    client: FlaskClient, without_log: None, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post(path)

    assert answer.status_code in {200, 404}
    assert [r.levelname for r in caplog.records if "stop_not_audited" in r.getMessage()] == [
        "CRITICAL"
    ]


@pytest.mark.parametrize(
    ("action", "status"), [("emergency_stop", 404), ("pause", 404), ("resume", 503)]
)
def test_of_a_route_that_does_both_only_what_stops_goes_on(
    client: FlaskClient, without_log: None, action: str, status: int
) -> None:
    body = {"automationId": "none", "action": action}

    assert client.post("/api/automation/control", json=body).status_code == status


def test_a_stop_does_not_wait_long_for_the_log(client: FlaskClient, database: Database) -> None:
    began_at = utc_now()
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE audit_log")
        status = client.post("/api/automation/emergency-stop").status_code

    assert status == 200
    assert utc_now() - began_at < timedelta(seconds=5)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "UPDATE audit_log SET actor = 'bob'",
        "UPDATE audit_log SET what = '[]', status = 1",
        "UPDATE audit_log SET status = NULL",
    ],
)
def test_nothing_that_is_written_down_can_be_changed(database: Database, statement: str) -> None:
    with database.transaction() as connection:
        insert_change(connection, _a_change())

    with pytest.raises(DatabaseFaultError, match="append-only"):
        _run(database, statement)


def test_an_answer_is_given_once_and_names_only_whom_nobody_named(database: Database) -> None:
    with database.transaction() as connection:
        named = insert_change(connection, _a_change())
        update_answer(connection, named, 200, ("bob", "admin"), utc_now())

    with pytest.raises(DatabaseFaultError, match="append-only"), database.transaction() as again:
        update_answer(again, named, 500, None, utc_now())
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT actor, status FROM audit_log WHERE id = %s", [named])
        assert cursor.fetchone() == ("alice", 200)


def test_the_log_is_searched_by_who_where_and_when(client: FlaskClient, database: Database) -> None:
    client.post("/api/devices", json={}, headers={"Authorization": "Bearer operator"})
    client.post("/api/automation/emergency-stop")
    hour = timedelta(hours=1)

    def paths(**query: str) -> set[object]:
        return {change["path"] for change in _listed(client, limit="2", **query)}

    assert paths(actor="operator", path="/api/devices") == {"/api/devices"}
    assert paths(path="emergency") == {"/api/automation/emergency-stop"}
    assert paths(**{"from": (utc_now() + hour).isoformat()}) == set()
    assert paths(until=(utc_now() - hour * 24 * 400).isoformat()) == set()
    assert client.get("/api/audit-log?from=yesterday").status_code == 400


def test_the_log_is_read_page_by_page(client: FlaskClient) -> None:
    for _ in range(3):
        client.post("/api/devices", json={})
    first = client.get("/api/audit-log?limit=2").get_json()

    second = client.get(f"/api/audit-log?limit=1&cursor={first['nextCursor']}").get_json()

    ids = [change["id"] for change in first["changes"] + second["changes"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 3


def test_the_log_is_exported_without_formulas(client: FlaskClient, number: str) -> None:
    client.delete(f"/api/automation/recipes/=1+1{number}")

    export = client.get("/api/audit-log/export.csv", query_string={"path": number})
    evil = client.get("/api/audit-log/export.csv", query_string={"path": "/x", "actor": "alice"})

    header, row = export.text.splitlines()
    assert header.startswith("id,at,actor,role,method,path")
    assert f"/api/automation/recipes/=1+1{number}" in row
    assert not re.search(r"(^|,)[=+@-]", evil.text)


@pytest.mark.parametrize("path", ["/api/audit-log", "/api/audit-log/export.csv"])
def test_an_instant_may_have_an_offset_that_postgresql_does_not_know(
    client: FlaskClient, path: str
) -> None:
    answer = client.get(path, query_string={"from": "2026-11-24T12:00:00+19:32"})

    assert answer.status_code == 200
    assert answer.text
    assert client.get(path, query_string={"from": "9743-07-03T06:00:00Z"}).status_code == 400


@pytest.mark.parametrize("path", ["/api/audit-log", "/api/audit-log/export.csv"])
def test_only_an_admin_reads_the_log(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers={"Authorization": "Bearer operator"}).status_code == 403


def test_the_command_line_is_written_down_too(
    client: FlaskClient, push_url: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{uuid4().hex}.csv"
    file.write_text(f"userId,token\n{ALICE},a\n")
    environment = {
        "PUSH_BLASTER_DATABASE_URL": push_url,
        "PUSH_DATA_DIR": str(tmp_path),
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
        "CADENCE_API_TOKEN": "token-of-the-tests",
    }

    CliRunner(env=environment).invoke(main, ["import-devices", str(file)])

    (change,) = [c for c in _listed(client, actor="command line") if file.stem in str(c["what"])]
    assert (change["method"], change["path"]) == ("COMMAND", "push-blaster import-devices")
    assert change["status"] == 0
