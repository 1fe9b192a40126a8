"""Routes about sequences, without an engine: a started execution waits."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.operations.execution_stops import end_execution
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.domain.executions.safeguards import Severity
from tests.push_blaster.web.execution_support import violate
from tests.push_blaster.web.recipes import create

PATH = "/api/automation/sequences"


@pytest.fixture
def automation(client: FlaskClient) -> dict[str, Any]:
    """A sequence of two pushes."""
    pushes = [{"title": f"Push {n}", "body": "Body", "layerId": 3} for n in (1, 2)]
    return create(client, pushSequence=pushes)


def start(client: FlaskClient, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    response = client.post(PATH, json={"automationId": "news", **body}, headers=headers)
    assert response.status_code == 202, response.json
    data: dict[str, Any] = response.get_json()["data"]
    return data


def complete(database: Database, execution_id: str) -> None:
    with database.transaction() as connection:
        assert end_execution(connection, execution_id, RUNNING, (Phase.COMPLETED, ""), utc_now())


def test_a_start_is_answered_at_once_with_what_will_run(
    client: FlaskClient, automation: dict[str, Any]
) -> None:
    live = start(client)
    dry = start(client, isDryRun=True, useCache=True)

    assert (live["isDryRun"], dry["isDryRun"]) == (False, True)
    assert (live["automationName"], live["status"]) == ("News", "running")
    assert live["executionResult"]["success"] is None
    assert [p["status"] for p in live["executionResult"]["pushResults"]] == ["pending"] * 2
    assert client.get(f"/api/executions/{live['executionId']}").get_json()["mode"] == "live"
    dry_mode = client.get(f"/api/executions/{dry['executionId']}").get_json()["mode"]
    assert dry_mode == "real-dry-run"


def test_the_same_key_starts_it_once(client: FlaskClient, automation: dict[str, Any]) -> None:
    first, second = (start(client, key="k")["executionId"] for _ in range(2))

    assert first == second
    other = client.post(
        PATH,
        json={"automationId": "news", "isDryRun": True},
        headers={"Idempotency-Key": "k"},
    )
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "automationId: Missing data"),
        ({"automationId": "none"}, 404, "There is no automation 'none'"),
        ({"automationId": "news", "isDryRun": "perhaps"}, 400, "isDryRun: "),
        ({"automationId": "news", "dryRun": True}, 400, "dryRun: Unknown field."),
    ],
)
def test_a_start_that_does_not_fit_says_why_and_starts_nothing(
    client: FlaskClient, automation: dict[str, Any], body: dict[str, Any], status: int, said: str
) -> None:
    response = client.post(PATH, json=body)

    assert response.status_code == status
    assert said in response.get_json()["error"]
    assert client.get(PATH).get_json()["data"] == {"executions": []}


def test_the_list_tells_live_and_dry_ones_and_counts_them_where_asked(
    client: FlaskClient, automation: dict[str, Any]
) -> None:
    live = start(client)["executionId"]
    dry = start(client, isDryRun=True)["executionId"]
    client.post("/api/automation/test/news", json={"mode": "test-dry-run"})
    client.post(f"{PATH}/{live}", json={"action": "cancel"})

    data = client.get(f"{PATH}?includeStats=true").get_json()["data"]

    assert [e["executionId"] for e in data["executions"]] == [dry, live]
    assert data["stats"] == {
        "totalExecutions": 2,
        "activeExecutions": 1,
        "successfulExecutions": 0,
        "failedExecutions": 0,
        "cancelledExecutions": 1,
        "byPhase": {"waiting": 1, "cancelled": 1},
    }
    assert client.get(f"{PATH}?automationId=other").get_json()["data"]["executions"] == []
    one = client.get(f"{PATH}?executionId={dry}").get_json()["data"]
    assert one["executionId"] == client.get(f"{PATH}/{dry}").get_json()["data"]["executionId"]


def test_one_that_waits_tells_what_is_not_there_yet_and_what_can_be_done(
    client: FlaskClient, database: Database, automation: dict[str, Any]
) -> None:
    execution_id = start(client)["executionId"]
    violate(database, execution_id, Severity.CRITICAL)

    data = client.get(f"{PATH}/{execution_id}").get_json()["data"]

    assert data["audienceCache"] == {
        "available": False,
        "valid": False,
        "issues": [],
        "manifest": None,
    }
    assert data["safetyAssessment"]["safe"] is False
    assert [v["message"] for v in data["safetyAssessment"]["violations"]] == ["Odd."]
    assert data["controlOptions"] == {
        "canPause": False,
        "canCancel": True,
        "canEmergencyStop": True,
        "availableActions": ["cancel", "emergency_stop"],
    }


@pytest.mark.parametrize("action", ["cancel", "emergency_stop"])
def test_an_end_is_told_and_said_twice_is_the_same(
    client: FlaskClient, automation: dict[str, Any], action: str
) -> None:
    execution_id = start(client)["executionId"]

    answers = [
        client.post(f"{PATH}/{execution_id}", json={"action": action, "reason": "Enough."})
        for _ in range(2)
    ]

    assert [a.status_code for a in answers] == [200, 200]
    data = client.get(f"{PATH}/{execution_id}").get_json()["data"]
    assert (data["status"], data["reason"]) == ("cancelled", "Enough.")
    assert data["executionResult"]["cancelledPushes"] == 2
    assert data["executionResult"]["pushResults"][0]["error"] == "Enough."


def test_a_pause_is_refused_with_what_to_do_instead(
    client: FlaskClient, automation: dict[str, Any]
) -> None:
    execution_id = start(client)["executionId"]

    response = client.post(f"{PATH}/{execution_id}", json={"action": "pause"})

    assert response.status_code == 409
    assert "Cancel it" in response.get_json()["error"]
    assert "POST /api/automation/control" in response.get_json()["error"]
    assert client.get(f"{PATH}/{execution_id}").get_json()["data"]["status"] == "running"


def test_what_has_ended_cannot_be_ended(
    client: FlaskClient, database: Database, automation: dict[str, Any]
) -> None:
    execution_id = start(client)["executionId"]
    complete(database, execution_id)

    response = client.post(f"{PATH}/{execution_id}", json={"action": "cancel"})

    assert response.status_code == 409
    assert "has ended already: completed" in response.get_json()["error"]


def test_only_a_dry_run_that_has_ended_is_deleted(
    client: FlaskClient, database: Database, automation: dict[str, Any]
) -> None:
    live = start(client)["executionId"]
    dry = start(client, isDryRun=True)["executionId"]
    running = client.delete(f"{PATH}/{dry}")
    complete(database, live)
    complete(database, dry)

    deleted, kept = client.delete(f"{PATH}/{dry}"), client.delete(f"{PATH}/{live}")

    assert (running.status_code, deleted.status_code, kept.status_code) == (409, 200, 409)
    assert "still runs" in running.get_json()["error"]
    assert "was no dry run" in kept.get_json()["error"]
    assert client.get(f"{PATH}/{dry}").status_code == 404
    assert client.get(f"{PATH}/{live}").status_code == 200


def test_what_is_not_there_is_404(client: FlaskClient) -> None:
    for answer in (
        client.get(f"{PATH}/none"),
        client.get(f"{PATH}?executionId=none"),
        client.post(f"{PATH}/none", json={"action": "pause"}),
        client.delete(f"{PATH}/none"),
    ):
        assert answer.status_code == 404, answer.json
        assert "There is no execution 'none'" in answer.get_json()["error"]


def test_a_viewer_reads_an_operator_acts_an_admin_deletes(
    client: FlaskClient, automation: dict[str, Any]
) -> None:
    def as_(role: str, method: str, path: str, body: Any = None) -> int:
        headers = {"Authorization": f"Bearer {role}"}
        return client.open(path, method=method, json=body, headers=headers).status_code

    started = {"automationId": "news"}
    assert as_("viewer", "POST", PATH, started) == 403
    assert as_("operator", "POST", PATH, started) == 202
    assert as_("viewer", "GET", PATH) == 200
    assert as_("viewer", "POST", f"{PATH}/x", {"action": "cancel"}) == 403
    assert as_("operator", "DELETE", f"{PATH}/x") == 403
