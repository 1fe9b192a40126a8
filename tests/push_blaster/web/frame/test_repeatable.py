"""An Idempotency-Key stands for one request: another one under it is refused on every route."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fcntl import LOCK_EX, flock
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chassis.bearer_auth import is_open
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.idempotency_keys import KeyUse, delete_old_keys, insert_key
from tests.builders import a_document
from tests.journeys.stack import wait_until
from tests.people import ALICE
from tests.push_blaster.web.recipes import a_template, create

KEY: Final = {"Idempotency-Key": "k"}
PUSH: Final = {"title": "Hi", "body": "Text", "layerId": 3, "userIds": [str(ALICE)]}
#: Every lock of a file, and who waits for it.
LOCKS: Final = Path("/proc/locks")
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
    "/api/automation/templates": (a_template(id=""), {"name": "Summer"}),
    "/api/automation/templates/retention_campaign": ({}, {"overrides": {"name": "Another"}}),
    "/api/automation/templates/from/news": ({}, {"name": "Another"}),
    "/api/automation/recipes/news/duplicate": ({}, {"name": "Another"}),
    "/api/alerts/destinations": (
        {"name": "Night shift", "kind": "webhook", "url": "https://hooks.example.com/x"},
        {"name": "Day shift"},
    ),
    "/api/test-devices": ({"name": "Phone", "token": "t-1"}, {"name": "Another phone"}),
}
#: More requests that create something, each with its route.
MORE: Final[list[tuple[str, dict[str, Any]]]] = [
    ("/api/automation/recipes", a_document(id="mine")),
    ("/api/automation/templates", a_template()),
    ("/api/automation/templates", {"templateId": "retention_campaign"}),
    ("/api/automation/templates/retention_campaign", {"overrides": {"id": "mine"}}),
    ("/api/automation/templates/from/news", {"id": "mine"}),
    ("/api/automation/recipes/news/duplicate", {"id": "mine"}),
]
#: The other routes by POST: they create nothing; or, what they create has a name of its own.
CREATE_NOTHING: Final = """
/api/alerts/destinations/{destination_id}/rotate
/api/alerts/destinations/{destination_id}/test
/api/automation/control-many
/api/automation/debug/reschedule
/api/automation/emergency-stop
/api/automation/migrate
/api/automation/monitor
/api/automation/plan
/api/automation/preview
/api/automation/recipes/{automation_id}/archive
/api/automation/recipes/{automation_id}/preview
/api/automation/recipes/{automation_id}/unarchive
/api/automation/recipes/{automation_id}/undo-delete
/api/automation/recipes/{automation_id}/versions/{version_id}/restore
/api/automation/restore
/api/automation/sequences/{execution_id}
/api/automation/test
/api/automation/test/{automation_id}/kill
/api/conversions
/api/devices
/api/devices/clean-up
/api/devices/import
/api/events
/api/executions/{execution_id}/approve
/api/executions/{execution_id}/cancel
/api/executions/{execution_id}/dead-devices
/api/executions/{execution_id}/stop
/api/opt-outs
/api/opt-outs/import
/api/people/end-sessions
/api/query-audience
/api/scripts/{script_id}/runs/{run_id}/stop
/api/tokens/{name}/rotate
"""
#: A repeated request for a token is refused: nobody has its secret any more.
TOKENS: Final = "/api/tokens"
#: Tried in test_try_script.py, in test_executions.py, and in test_test_devices.py.
ELSEWHERE: Final = {
    *("/api/scripts", "/api/scripts/{script_id}/run"),
    "/api/executions/{execution_id}/resume",
    "/api/test-devices/{device_id}/send",
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


@pytest.mark.parametrize("path", ["/api/send-push", "/api/devices/import", "/api/tokens"])
@pytest.mark.parametrize("disposition", ["form-data", 'form-data; filename="a.csv"'])
def test_a_part_of_a_form_without_a_name_is_refused_with_and_without_a_key(
    client: FlaskClient, path: str, disposition: str
) -> None:
    part = f"--x\r\nContent-Disposition: {disposition}\r\n\r\n1\r\n"
    named = '--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nHi\r\n'
    kind = "multipart/form-data; boundary=x"

    for headers in ({}, KEY):
        answer = client.post(
            path, data=f"{part}{named}--x--\r\n", content_type=kind, headers=headers
        )
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.get_json()["detail"]


def made_by(answer: TestResponse) -> list[str]:
    """Return the ids of what an answer says was created."""
    return re.findall(r'"(?:id|executionId|jobId)": ?"([^"]+)"', answer.text)


@pytest.mark.parametrize(
    ("path", "body"), [*((path, body) for path, (body, _) in ROUTES.items()), *MORE]
)
def test_a_repeated_request_creates_nothing_more_and_is_answered_with_the_first_thing(
    client: FlaskClient, path: str, body: dict[str, Any]
) -> None:
    create(client)
    first = post(client, path, body)
    assert first.status_code < 300, first.text
    before = snapshot(client)

    again = post(client, path, body)

    assert again.status_code == first.status_code, again.text
    assert made_by(again) == made_by(first) != []
    assert snapshot(client) == before


def test_one_key_creates_one_document_on_each_route(client: FlaskClient) -> None:
    create(client)
    documents = ("/api/automation/recipes", "/api/automation/templates", "/api/scheduled-pushes")
    paths = [path for path in ROUTES if path.startswith(documents)]

    answers = [post(client, path, ROUTES[path][0]) for path in [*paths, *reversed(paths)]]

    assert [a.status_code for a in answers if a.status_code >= 300] == []
    made = [made_by(answer) for answer in answers]
    assert made == made[::-1]
    assert len({tuple(ids) for ids in made}) == len(paths)


def test_what_was_deleted_since_is_created_again_under_its_key(client: FlaskClient) -> None:
    path, body = "/api/automation/templates", a_template(id="")
    (made,) = set(made_by(post(client, path, body)))
    assert client.delete(f"{path}/{made}").status_code == 200

    again = post(client, path, body)

    assert again.status_code == 201
    assert made_by(again) == [made]


def test_an_id_that_somebody_else_has_is_refused_under_a_new_key(client: FlaskClient) -> None:
    path = "/api/automation/templates"
    client.post(path, json=a_template())

    for key in ("one", "two"):
        taken = post(client, path, a_template(), **{"Idempotency-Key": key})
        assert taken.status_code == 409


#: Requests that choose the id of what they create: the list that it is in, and the request.
CHOOSING: Final = {
    "recipe": ("recipes/mine", "/api/automation/recipes", a_document(id="mine")),
    "template": ("templates/mine", "/api/automation/templates", a_template(id="mine")),
    "start": ("recipes/mine", *MORE[3]),
    "save as": ("templates/mine", *MORE[4]),
}


@pytest.mark.parametrize(("made_at", "path", "body"), CHOOSING.values(), ids=CHOOSING)
def test_a_repeated_request_is_not_answered_with_what_somebody_else_created(
    client: FlaskClient, made_at: str, path: str, body: dict[str, Any]
) -> None:
    create(client)
    assert post(client, path, body).status_code == 201  # the key is used, as after a crash
    assert client.delete(f"/api/automation/{made_at}").status_code == 200
    others = {"recipes": a_document(id="mine"), "templates": a_template(id="mine")}
    folder = made_at.partition("/")[0]
    assert client.post(f"/api/automation/{folder}", json=others[folder]).status_code == 201

    again = post(client, path, body)

    assert again.status_code == 409, again.text


def count_waiting(lock: Path) -> int:
    """Return how many wait for the lock of this file."""
    place = f":{lock.stat().st_ino} "
    return sum(" -> " in line and place in line for line in LOCKS.read_text().splitlines())


@pytest.mark.parametrize(
    ("folder", "path", "body"),
    [
        ("automations", "/api/automation/recipes", ROUTES["/api/automation/recipes"][0]),
        ("automations", "/api/automation/recipes", a_document(id="mine")),
        ("automations", "/api/scheduled-pushes", ROUTES["/api/scheduled-pushes"][0]),
        ("templates", "/api/automation/templates", a_template(id="")),
        ("templates", "/api/automation/templates", a_template()),
        ("automations", "/api/automation/templates/retention_campaign", {}),
        ("automations", *MORE[3]),
        ("templates", "/api/automation/templates/from/news", {}),
        ("automations", "/api/automation/recipes/news/duplicate", {}),
    ],
)
def test_a_request_repeated_while_it_runs_is_answered_with_the_first_thing(
    client: FlaskClient, tmp_path: Path, folder: str, path: str, body: dict[str, Any]
) -> None:
    create(client)
    lock = tmp_path / folder / ".lock"

    with ThreadPoolExecutor(2) as both:
        with lock.open("w") as held:  # each of the two has found nothing before one creates it
            flock(held, LOCK_EX)
            asked = [both.submit(post, client, path, body) for _ in range(2)]
            wait_until(lambda: count_waiting(lock), lambda waiting: waiting == 2, 30)
        first, again = (one.result() for one in asked)

    assert first.status_code == again.status_code < 300, first.text + again.text
    assert made_by(first) == made_by(again) != []


def test_a_token_is_created_once_and_a_repeated_request_is_told_so(client: FlaskClient) -> None:
    body = {"name": "alice", "role": "viewer"}
    first = post(client, TOKENS, body)

    again = post(client, TOKENS, body)

    assert (first.status_code, again.status_code) == (201, 409)
    assert first.get_json()["token"] not in again.text
    assert len(client.get(TOKENS).get_json()["tokens"]) == 1


def test_every_route_by_post_is_known_here(client: FlaskClient) -> None:
    paths = client.get("/api/openapi.json").get_json()["paths"]

    posts = {path for path, methods in paths.items() if "post" in methods}

    creating = {_as_told(path) for path in ROUTES} | ELSEWHERE | {TOKENS}
    assert posts == creating | set(CREATE_NOTHING.split())


def snapshot(client: FlaskClient) -> list[int]:
    lists = {
        "/api/automation/templates": "data",
        "/api/automation/recipes": "data",
        "/api/scheduled-pushes": "scheduledPushes",
        "/api/executions": "executions",
        "/api/alerts/destinations": "destinations",
        "/api/test-devices": "testDevices",
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

    assert taking == {_as_told(path) for path in ROUTES} | ELSEWHERE


def _as_told(path: str) -> str:
    """Return the path as OpenAPI writes it."""
    named = path.replace("/news", "/{automation_id}")
    return named.replace("/retention_campaign", "/{template_id}")


def _list_changing_routes(app: Flask, document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield method, path and rule of every route that changes something and declares no key.

    Strangers have no keys: whatever they may send is safe to repeat by itself.
    """
    urls = app.url_map.bind("localhost")
    for told, methods in document["paths"].items():
        path = re.sub(r"{(push_id|run_id|destination_id|device_id|user_id)}", str(ALICE), told)
        path = re.sub(r"{[a-z_]+}", "news", path.replace("{version_id}", "1"))
        for method in methods.keys() & {"post", "put", "patch", "delete"}:
            headers = [p.get("name") for p in methods[method].get("parameters", [])]
            rule, _ = urls.match(path, method.upper(), return_rule=True)
            if "Idempotency-Key" not in headers and not is_open(app, rule.endpoint):
                yield method.upper(), path, rule.rule


def test_every_other_route_that_changes_something_refuses_a_key_of_another_request(
    app: Flask, client: FlaskClient, database: Database
) -> None:
    document = client.get("/api/openapi.json").get_json()
    routes = list(_list_changing_routes(app, document))
    with database.transaction() as connection:
        for method, _, rule in routes:
            insert_key(connection, KeyUse(f"{method} {rule}", "k", "another request"), utc_now())

    answers = {
        (method, path): client.open(path, method=method, json={"a": 1}, headers=KEY)
        for method, path, _ in routes
    }

    assert len(answers) > 30
    assert {place: a.text for place, a in answers.items() if a.status_code != 422} == {}


def test_a_route_without_repeats_refuses_a_key_of_another_body(client: FlaskClient) -> None:
    def register(token: str) -> int:
        body = {"userId": str(ALICE), "token": token}
        return client.post("/api/devices", json=body, headers=KEY).status_code

    first, again, other = register("a"), register("a"), register("b")

    assert (first < 300, again < 300, other) == (True, True, 422)
    assert client.get(f"/api/devices?userId={ALICE}").text.count('"kind"') == 1


def test_a_body_that_is_no_json_is_compared_and_still_read(client: FlaskClient) -> None:
    def import_devices(token: str) -> tuple[int, object]:
        answer = client.post(
            "/api/devices/import",
            data=f"user_id,token\n{ALICE},{token}\n",
            content_type="text/csv",
            headers=KEY,
        )
        return answer.status_code, answer.get_json().get("rows")

    assert [import_devices(t) for t in ("a", "a", "b")] == [(200, 1), (200, 1), (422, None)]


def test_a_key_of_no_use_is_refused_on_every_route(client: FlaskClient) -> None:
    for key in ("", "k" * 201):
        answer = client.post("/api/devices/clean-up", json={}, headers={"Idempotency-Key": key})

        assert answer.status_code == 400
        assert "Idempotency-Key" in answer.text


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
