"""An Idempotency-Key stands for one request: another one under it is refused on every route."""

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.idempotency_keys import delete_old_keys
from tests.builders import a_document
from tests.people import ALICE
from tests.push_blaster.web.recipes import create

KEY: Final = {"Idempotency-Key": "k"}
PUSH: Final = {"title": "Hi", "body": "Text", "layerId": 3, "userIds": [str(ALICE)]}
SOON: Final = "2031-05-01T18:30:00Z"
#: By path: a request, and what another one has instead.
ROUTES: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "/api/automation/recipes": (
        {k: v for k, v in a_document().items() if k != "id"},
        {"name": "Another"},
    ),
    "/api/scheduled-pushes": (
        {
            "scheduledFor": SOON,
            "title": "Hi",
            "body": "Text",
            "layerId": 3,
            "audienceCriteria": {"manualUserIds": [str(ALICE)]},
            "audienceDescription": "Alice",
        },
        {"title": "Ho"},
    ),
    "/api/executions": ({"automationId": "news"}, {"cancellationWindowMinutes": 7}),
    "/api/automation/test/news": ({"mode": "test-dry-run"}, {"mode": "real-dry-run"}),
    "/api/automation/execute-start": ({"automationId": "news"}, {"automationId": "other"}),
    "/api/automation/sequences": ({"automationId": "news"}, {"isDryRun": True}),
    "/api/automation/control": (
        {"automationId": "news", "action": "execute_now"},
        {"action": "pause"},
    ),
    "/api/send-push": ({**PUSH, "dryRun": True}, {"title": "Ho"}),
}


def post(client: FlaskClient, path: str, body: object, **headers: str) -> TestResponse:
    return client.post(path, json=body, headers={**KEY, **headers})


@pytest.mark.parametrize("path", ROUTES)
def test_another_request_under_the_same_key_is_refused_and_changes_nothing(
    client: FlaskClient, path: str
) -> None:
    create(client)
    create(client, id="other")
    body, other = ROUTES[path]
    first = post(client, path, body)
    assert first.status_code < 300, first.text
    before = snapshot(client)

    again = post(client, path, dict(reversed(body.items())))
    refused = post(client, path, {**body, **other})

    assert again.status_code == first.status_code
    assert refused.status_code == 422
    assert "send a new key for a new request" in refused.get_json()["detail"]
    assert snapshot(client) == before


def snapshot(client: FlaskClient) -> list[int]:
    lists = {
        "/api/automation/recipes": "data",
        "/api/scheduled-pushes": "scheduledPushes",
        "/api/executions": "executions",
    }
    return [len(client.get(path).get_json()[name]) for path, name in lists.items()]


def test_every_route_that_takes_a_key_is_tried_here(app: Flask, client: FlaskClient) -> None:
    document = client.get("/api/openapi.json").get_json()
    taking = {
        path
        for path, methods in document["paths"].items()
        for method in methods.values()
        if isinstance(method, dict)
        and any(p.get("name") == "Idempotency-Key" for p in method.get("parameters", []))
    }

    known = {path.replace("/news", "/{automation_id}") for path in ROUTES}
    engines = {"/api/scripts", "/api/scripts/{script_id}/run"}  # in test_try_script.py
    resumed = {"/api/executions/{execution_id}/resume"}  # in test_executions.py
    assert taking == known | engines | resumed


def test_a_file_is_part_of_the_request(client: FlaskClient) -> None:
    def send(row: str) -> int:
        form = {"title": "Hi", "body": "Text", "layerId": "3", "dryRun": "true"}
        file = (BytesIO(f"user_id,name\n{ALICE},{row}\n".encode()), "users.csv")
        return client.post("/api/send-push", data={**form, "file": file}, headers=KEY).status_code

    assert [send("A"), send("A"), send("B")] == [202, 202, 422]


def test_a_refused_request_leaves_its_key_free(client: FlaskClient, tmp_path: Path) -> None:
    path = "/api/automation/recipes"
    body = {k: v for k, v in a_document().items() if k != "id"}

    assert post(client, path, {**body, "name": ""}).status_code == 400
    assert post(client, "/api/executions", {"automationId": "nobody"}).status_code == 404

    assert post(client, path, body).status_code == 201
    create(client)
    assert post(client, "/api/executions", {"automationId": "news"}).status_code == 202
    key = {"Idempotency-Key": "another"}
    assert post(client, "/api/send-push", {**PUSH, "layerId": 9}, **key).status_code == 400
    assert post(client, "/api/send-push", {**PUSH, "dryRun": True}, **key).status_code == 202


def test_the_same_key_on_another_route_is_another_key(client: FlaskClient) -> None:
    create(client)
    create(client, id="other")

    assert post(client, "/api/automation/test/news", {"mode": "test-dry-run"}).status_code == 202
    body = {k: v for k, v in a_document().items() if k != "id"}
    assert post(client, "/api/automation/recipes", body).status_code == 201


def test_keys_are_forgotten_in_the_end(client: FlaskClient, database: Database) -> None:
    create(client)
    post(client, "/api/executions", {"automationId": "news"})

    with database.transaction() as connection:
        assert delete_old_keys(connection, utc_now(), most=10) == 1
        assert delete_old_keys(connection, utc_now(), most=10) == 0
