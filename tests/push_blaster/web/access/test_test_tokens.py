"""Test tokens: whatever is started with one is simulated, and nothing else can be done."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.operations.execution_stops import end_execution
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.web.frame.csrf import READS
from tests.builders import a_document
from tests.people import ALICE
from tests.push_blaster.web.page_support import Visitor
from tests.routes import fill_rule

#: By these a test token starts simulations or acts on them, or asks what changes nothing.
OPEN_TO_SIMULATIONS = {
    *("executions.start", "executions.cancel", "executions.stop", "executions.approve"),
    *("execute.execute_start", "sequences.start", "sequences.act", "send_push.send"),
    *("tests.run_suite", "tests.start", "plans.plan_draft", "query_audience.split"),
    *("pages_automations.run", "pages_tests.start", "pages_send.try_out", "pages_send.send"),
    *("pages_executions.cancel", "pages_executions.stop", "pages_executions.approve"),
    *("test_devices.send", "pages_test_devices.send"),
    *("pages_sign_in.begin", "pages_sign_in.end", "pages_times.keep"),
    "events.report",  # strangers may, too
}


@pytest.fixture
def secret(client: FlaskClient) -> str:
    body = {"name": "rehearsal", "role": "operator", "isTest": True}
    return str(client.post("/api/tokens", json=body).get_json()["token"])


@pytest.fixture
def rehearsal(app: Flask, secret: str) -> FlaskClient:
    """Somebody with a test token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return client


@pytest.fixture
def news(client: FlaskClient) -> str:
    """The id of an automation."""
    created = client.post("/api/automation/recipes", json=a_document(id="news"))
    assert created.status_code == 201, created.text
    return "news"


def test_its_secret_says_what_it_is(secret: str) -> None:
    assert secret.startswith("push_test_")


def test_every_other_route_that_may_change_something_is_closed(
    app: Flask, rehearsal: FlaskClient
) -> None:
    answers = {
        rule.endpoint: rehearsal.open(fill_rule(rule.rule), method=method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - READS
        if rule.endpoint not in OPEN_TO_SIMULATIONS
    }

    assert len(answers) > 20
    assert {answer.status_code for answer in answers.values()} == {403}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/executions", {"automationId": "news"}),
        ("/api/executions", {"automationId": "news", "mode": "live"}),
        ("/api/automation/execute-start", {"automationId": "news"}),
        ("/api/automation/sequences", {"automationId": "news"}),
        ("/api/automation/test/news", {"mode": "test-scheduled-send"}),
        ("/api/send-push", {"title": "t", "body": "b", "layerId": 1, "userIds": [str(ALICE)]}),
    ],
)
def test_what_is_started_with_one_is_marked_as_a_simulation(
    client: FlaskClient, rehearsal: FlaskClient, news: str, path: str, body: dict[str, object]
) -> None:
    started = rehearsal.post(path, json=body)

    assert started.status_code in {200, 201, 202}, started.text
    (execution,) = client.get("/api/executions").get_json()["executions"]
    assert (execution["mode"], execution["simulated"]) == ("simulation", True)
    assert execution["id"].endswith("-simulation")


def test_a_test_of_a_device_is_only_tried_out(
    app: Flask, client: FlaskClient, rehearsal: FlaskClient, secret: str
) -> None:
    device = {"name": "Phone", "token": "t-1"}
    device_id = client.post("/api/test-devices", json=device).get_json()["id"]

    by_api = rehearsal.post(f"/api/test-devices/{device_id}/send")
    by_page = Visitor(app, secret).post(f"/devices/test/{device_id}/send", once="1")

    assert (by_api.status_code, by_page.status_code) == (202, 303)
    executions = client.get("/api/executions").get_json()["executions"]
    assert [one["mode"] for one in executions] == ["test-dry-run"] * 2


@pytest.mark.parametrize("mode", ["test-live-send", "test-dry-run", "real-dry-run"])
def test_a_test_is_only_tried_out(
    client: FlaskClient, rehearsal: FlaskClient, news: str, mode: str
) -> None:
    rehearsal.post("/api/executions", json={"automationId": "news", "mode": mode})

    (execution,) = client.get("/api/executions").get_json()["executions"]
    assert execution["mode"] == ("real-dry-run" if mode == "real-dry-run" else "test-dry-run")


@pytest.mark.parametrize("action", ["stop", "cancel", "approve"])
def test_it_stays_away_from_what_delivers(
    client: FlaskClient, rehearsal: FlaskClient, news: str, action: str
) -> None:
    live = client.post("/api/executions", json={"automationId": "news"}).get_json()["id"]

    refused = rehearsal.post(f"/api/executions/{live}/{action}")

    assert refused.status_code == 403
    assert "no simulation" in refused.get_json()["detail"]
    assert client.get(f"/api/executions/{live}").get_json()["status"] == "running"


def test_it_stops_its_own(client: FlaskClient, rehearsal: FlaskClient, news: str) -> None:
    own = rehearsal.post("/api/executions", json={"automationId": "news"}).get_json()["id"]

    assert rehearsal.post(f"/api/executions/{own}/stop").status_code == 200


def test_an_idempotency_key_of_a_simulation_is_none_of_a_real_start(
    client: FlaskClient, rehearsal: FlaskClient, news: str
) -> None:
    headers = {"Idempotency-Key": "monday"}
    body = {"automationId": "news"}
    rehearsed = rehearsal.post("/api/executions", json=body, headers=headers)

    real = client.post("/api/executions", json={"automationId": "news"}, headers=headers)

    assert real.status_code == 202
    assert real.get_json()["id"] != rehearsed.get_json()["id"]


def test_a_test_token_cannot_take_the_key_under_which_a_dry_run_goes_live(
    app: Flask, client: FlaskClient, rehearsal: FlaskClient, news: str, database: Database
) -> None:
    push = {"title": "Hi", "body": "Text", "layerId": 3, "userIds": [str(ALICE)], "dryRun": True}
    dry_run = client.post("/api/send-push", json=push).get_json()["jobId"]
    for key in (f"live:{dry_run}", f"simulated:{dry_run}"):
        for caller in (rehearsal, client):
            caller.post(
                "/api/executions", json={"automationId": "news"}, headers={"Idempotency-Key": key}
            )
            body = {"title": "Ho", "body": "Text", "layerId": 3, "userIds": [str(ALICE)]}
            caller.post("/api/send-push", json={**body, "jobId": key})
    with database.transaction() as connection:
        assert end_execution(connection, dry_run, RUNNING, (Phase.COMPLETED, ""), utc_now())

    sent = Visitor(app, "operator").post(f"/send/{dry_run}")

    assert sent.status_code == 303
    execution = client.get(f"/api{sent.location}").get_json()
    assert execution["mode"] == "live"
    assert execution["pushes"][0]["title"] == "Hi"


def test_a_page_sent_by_a_test_token_stands_for_no_page_of_others(
    app: Flask, secret: str, news: str
) -> None:
    rehearsed = Visitor(app, secret).post("/automations/news/run", once="1")

    real = Visitor(app, "operator").post("/automations/news/run", once="1")

    assert real.status_code == rehearsed.status_code == 303
    assert real.location != rehearsed.location


def test_pages_mark_a_simulation(app: Flask, secret: str, news: str) -> None:
    visitor = Visitor(app, secret)
    started = visitor.post("/automations/news/run", once="1")

    assert "Simulation: nothing leaves this machine" in visitor.get(started.location)
    assert "simulated" in visitor.get("/executions")
