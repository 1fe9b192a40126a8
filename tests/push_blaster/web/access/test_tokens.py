"""Tokens with names: created, shown once, rotated without a gap, and revoked at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.http.streams import FAREWELL
from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.app import create_app
from push_blaster.cli import main
from push_blaster.web.access.tokens import ROLES
from push_blaster.web.executions import log_stream
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.page_support import Visitor

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def _create(client: FlaskClient, name: str = "alice", **fields: object) -> str:
    response = client.post("/api/tokens", json={"name": name, "role": "operator", **fields})
    assert response.status_code == 201, response.text
    return str(response.get_json()["token"])


def _ask(client: FlaskClient, token: str, path: str = "/api/executions") -> int:
    return client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


def _listed(client: FlaskClient) -> dict[str, dict[str, object]]:
    return {token["name"]: token for token in client.get("/api/tokens").get_json()["tokens"]}


@pytest.mark.parametrize("role", ROLES)
def test_a_token_opens_what_its_role_may(client: FlaskClient, role: str) -> None:
    headers = {"Authorization": f"Bearer {_create(client, role=role)}"}

    expected = 403 if role == "app" else 200
    assert client.get("/api/executions", headers=headers).status_code == expected
    stop = client.post("/api/automation/emergency-stop", headers=headers).status_code
    assert stop == (403 if role in {"app", "viewer"} else 200)
    assert client.get("/api/tokens", headers=headers).status_code == (
        200 if role == "admin" else 403
    )


def test_a_role_of_a_newer_version_is_refused_without_a_fault(
    client: FlaskClient, database: Database
) -> None:
    made = client.post("/api/tokens", json={"name": "newer", "role": "viewer"}).get_json()
    known = "CHECK (role IN ('app', 'viewer', 'operator', 'admin'))"
    try:
        with database.transaction() as connection:
            execute(connection, "ALTER TABLE tokens DROP CONSTRAINT tokens_role_check")
            execute(connection, "UPDATE tokens SET role = 'auditor' WHERE name = 'newer'")
        headers = {"Authorization": f"Bearer {made['token']}"}
        answer = client.get("/api/executions", headers=headers)
    finally:
        with database.transaction() as connection:
            execute(connection, "DELETE FROM tokens WHERE name = 'newer'")
            execute(connection, f"ALTER TABLE tokens ADD CONSTRAINT tokens_role_check {known}")

    assert answer.status_code == 401
    assert "This version knows no role 'auditor'" in answer.get_json()["detail"]


def test_a_secret_is_told_once_and_kept_nowhere(client: FlaskClient, database: Database) -> None:
    made = client.post("/api/tokens", json={"name": "alice", "role": "viewer"})
    secret = made.get_json()["token"]

    assert secret.startswith("push_")
    assert len(secret) >= len("push_") + 43
    assert made.headers["Cache-Control"] == "no-store"
    assert secret not in client.get("/api/tokens").text
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(t::text, '') FROM tokens t")
        assert secret not in str(cursor.fetchone())
        cursor.execute("SELECT count(*) FROM audit_log a WHERE a::text LIKE %s", [f"%{secret}%"])
        assert cursor.fetchone() == (0,)


def test_a_token_tells_whose_it_is_who_made_it_and_when_it_was_used(client: FlaskClient) -> None:
    secret = _create(client)
    before = _listed(client)["alice"]
    _ask(client, secret)

    after = _listed(client)["alice"]

    assert (before["createdBy"], before["role"], before["state"]) == ("admin", "operator", "valid")
    assert before["lastUsedAt"] is None
    assert str(before["createdAt"]) <= str(after["lastUsedAt"])


def test_its_use_is_written_down_once_a_minute_at_the_most(client: FlaskClient) -> None:
    secret = _create(client)
    uses = []
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(3):
            _ask(client, secret)
            uses.append(_listed(client)["alice"]["lastUsedAt"])
            clock.shift(timedelta(seconds=31))

    assert uses[0] == uses[1] != uses[2]


def test_whoever_changes_something_is_called_as_their_token(client: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {_create(client, 'nightly-job')}"}
    client.post("/api/automation/emergency-stop", headers=headers)

    (change,) = client.get("/api/audit-log?actor=nightly-job&limit=1").get_json()["changes"]

    assert change["path"] == "/api/automation/emergency-stop"


def test_a_revoked_token_opens_nothing_from_then_on(client: FlaskClient) -> None:
    secret = _create(client)

    revoked = client.delete("/api/tokens/alice")

    assert revoked.status_code == 200
    assert _ask(client, secret) == 401
    assert _listed(client)["alice"]["state"] == "revoked"
    assert client.delete("/api/tokens/alice").status_code == 404


def test_an_expired_token_opens_nothing(client: FlaskClient) -> None:
    secret = _create(client, expiresAt=(utc_now() + timedelta(hours=1)).isoformat())

    assert _ask(client, secret) == 200
    with time_machine.travel(utc_now() + timedelta(hours=1)):
        assert _ask(client, secret) == 401
        assert _listed(client)["alice"]["state"] == "expired"


def test_a_rotation_leaves_no_gap(client: FlaskClient) -> None:
    old = _create(client)

    new = client.post("/api/tokens/alice/rotate", json={"overlapMinutes": 5}).get_json()["token"]

    assert (_ask(client, old), _ask(client, new)) == (200, 200)
    with time_machine.travel(utc_now() + timedelta(minutes=5)):
        assert (_ask(client, old), _ask(client, new)) == (401, 200)


def test_another_rotation_ends_no_overlap_that_was_promised(client: FlaskClient) -> None:
    secrets = [_create(client)]
    for minutes in (60, 5, 0, 10):
        path, body = "/api/tokens/alice/rotate", {"overlapMinutes": minutes}
        secrets.append(client.post(path, json=body).get_json()["token"])

    def opened() -> list[int]:
        return [_ask(client, secret) for secret in secrets]

    assert opened() == [200, 200, 401, 200, 200]
    with time_machine.travel(utc_now() + timedelta(minutes=6)):
        assert opened() == [200, 401, 401, 200, 200]
        assert str(_listed(client)["alice"]["previousUntil"]) > utc_now().isoformat()
    with time_machine.travel(utc_now() + timedelta(minutes=61)):
        assert opened() == [401, 401, 401, 401, 200]


@pytest.mark.parametrize("path", ["/api/tokens", "/api/tokens/alice/rotate"])
def test_a_request_under_its_key_makes_one_secret_and_a_repeat_is_told_so(
    client: FlaskClient, path: str
) -> None:
    if path != "/api/tokens":
        _create(client)
    headers = {"Idempotency-Key": "one"}
    body = {"name": "alice", "role": "operator"} if path == "/api/tokens" else {}

    first, again = (client.post(path, json=body, headers=headers) for _ in "ab")

    assert again.status_code == 409
    assert "carried out before" in again.get_json()["error"]
    assert "push_" not in again.text
    assert _ask(client, first.get_json()["token"]) == 200


def test_a_revocation_ends_the_secrets_from_before_rotations_too(client: FlaskClient) -> None:
    path, first = "/api/tokens/alice/rotate", _create(client)
    secrets = [first, *(client.post(path, json={}).get_json()["token"] for _ in range(2))]

    client.delete("/api/tokens/alice")

    assert {_ask(client, secret) for secret in secrets} == {401}


def test_a_rotation_without_overlap_ends_the_old_secret_at_once(client: FlaskClient) -> None:
    old = _create(client)
    client.post("/api/tokens/alice/rotate", json={"overlapMinutes": 0})

    assert _ask(client, old) == 401


def test_what_is_revoked_is_not_rotated(client: FlaskClient) -> None:
    _create(client)
    client.delete("/api/tokens/alice")

    assert client.post("/api/tokens/alice/rotate", json={}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status", "fault"),
    [
        ({"name": "admin"}, 400, "cannot be a token's name"),
        ({"name": "Al ice"}, 400, "cannot be a token's name"),
        ({"name": "engine"}, 400, "cannot be a token's name"),
        ({"role": "root"}, 400, "role"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, 400, "an instant to come"),
        ({"isTest": True, "role": "admin"}, 400, "a test token is"),
        ({"secret": "mine"}, 400, "secret"),
    ],
)
def test_what_is_no_token_is_refused(
    client: FlaskClient, fields: dict[str, object], status: int, fault: str
) -> None:
    body = {"name": "alice", "role": "viewer", **fields}
    response = client.post("/api/tokens", json=body)

    assert response.status_code == status
    assert fault in response.get_json()["detail"]
    assert _listed(client) == {}


def test_a_name_is_given_out_once_even_after_its_token_is_revoked(client: FlaskClient) -> None:
    _create(client)
    client.delete("/api/tokens/alice")

    again = client.post("/api/tokens", json={"name": "alice", "role": "viewer"})

    assert again.status_code == 409


def test_a_session_ends_with_its_token(app: Flask, client: FlaskClient) -> None:
    visitor = Visitor(app, _create(client))
    assert "Signed in as alice" in visitor.get("/executions")

    client.delete("/api/tokens/alice")

    assert visitor.client.get("/executions").status_code == 303


def test_tokens_of_the_environment_open_without_the_database(tmp_path: Path) -> None:
    client = create_app(
        settings_for("postgresql://nobody@127.0.0.1:9/none", tmp_path)
    ).test_client()

    assert _ask(client, "viewer", "/api/scripts") == 200
    assert _ask(client, "push_somebody-elses", "/api/scripts") == 503


@pytest.fixture
def command(push_url: str, database: Database, tmp_path: Path) -> CliRunner:
    return CliRunner(
        env={
            "PUSH_BLASTER_DATABASE_URL": push_url,
            "PUSH_DATA_DIR": str(tmp_path),
            "PUSH_ADMIN_TOKEN": "token-of-the-tests",
            "CADENCE_API_TOKEN": "token-of-the-tests",
        }
    )


def _run(command: CliRunner, *arguments: str) -> Result:
    return command.invoke(main, ["token", *arguments])


def test_the_command_line_creates_lists_and_revokes(
    command: CliRunner, client: FlaskClient
) -> None:
    options = ("--role", "viewer", "--days", "7", "--owner", "Anna Bauer")
    secret = _run(command, "create", "ci", *options).output.strip()

    assert _ask(client, secret) == 200
    assert "ci  viewer  valid" in _run(command, "list").output
    assert "Anna Bauer" in _run(command, "list").output
    assert "opens nothing" in _run(command, "revoke", "ci").output
    assert _ask(client, secret) == 401
    assert "ci  viewer  revoked" in _run(command, "list").output


def test_the_command_line_says_what_does_not_go(command: CliRunner, client: FlaskClient) -> None:
    _run(command, "create", "ci", "--role", "viewer")

    assert "was used before" in _run(command, "create", "ci", "--role", "viewer").output
    assert "There is no token" in _run(command, "revoke", "nobody").output
    changes = client.get("/api/audit-log?actor=command line&limit=3").get_json()["changes"]
    assert [(c["path"], c["status"]) for c in changes] == [
        ("push-blaster token revoke", 1),
        ("push-blaster token create", 1),
        ("push-blaster token create", 0),
    ]


def test_a_stream_that_is_open_asks_again_who_follows_it(
    bench: Bench, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "LASTS_S", 0.2)
    monkeypatch.setattr(log_stream, "FOLLOW_S", 0.05)
    execution_id = bench.start(settings={"cancellationWindowMinutes": 5})
    path = f"/api/executions/{execution_id}/log"
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {_create(client)}"}
    followed = client.get(path, headers=headers).text
    client.delete("/api/tokens/alice")

    assert followed.endswith(FAREWELL)
    assert client.get(path, headers=headers).status_code == 401
