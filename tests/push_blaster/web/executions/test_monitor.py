"""The monitor, and approval over HTTP."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from push_blaster.domain.executions.safeguards import Severity
from tests.push_blaster.cadence_support import beside_cadence
from tests.push_blaster.web.execution_support import started, violate
from tests.push_blaster.web.recipes import create

MONITOR = "/api/automation/monitor"


def test_the_health_score_falls_with_open_violations_and_recovers_when_they_are_resolved(
    client: FlaskClient, database: Database
) -> None:
    create(client)
    execution_id = started(client)
    assert client.get(MONITOR).get_json()["data"]["systemStatus"]["healthScore"] == 100
    violate(database, execution_id, Severity.CRITICAL)
    violate(database, execution_id, Severity.WARNING)

    overview = client.get(MONITOR).get_json()["data"]
    assert overview["systemStatus"] == {
        "healthy": False,
        "healthScore": 75,
        "criticalIssues": 1,
        "warningIssues": 1,
    }
    assert overview["activeExecutions"]["executions"][0]["executionId"] == execution_id
    assert overview["metrics"]["totalAutomations"] == 1
    assert len(overview["recentViolations"]) == 2
    for violation in overview["recentViolations"]:
        body = {
            "action": "resolve_violation",
            "violationId": violation["id"],
            "resolution": "Looked at.",
        }
        assert client.post(MONITOR, json=body).get_json()["success"] is True
        assert client.post(MONITOR, json=body).get_json()["success"] is False

    health = client.get(f"{MONITOR}?type=health").get_json()["data"]
    assert health["overall"] == {"score": 100, "status": "healthy"}
    assert health["components"]["automation_engine"]["maxConcurrent"] == 2
    assert health["components"]["storage_system"] == {"database": "ok"}
    assert health["recommendations"][0].startswith("cadence: ")


def test_violations_are_found_by_automation_severity_and_state(
    client: FlaskClient, database: Database
) -> None:
    for automation_id in ("news", "other"):
        create(client, id=automation_id)
        violate(database, started(client, automation_id), Severity.WARNING)

    def found(query: str) -> list[str]:
        data = client.get(f"{MONITOR}?type=violations&{query}").get_json()["data"]
        return sorted(v["automationId"] for v in data["violations"])

    assert found("") == ["news", "other"]
    assert found("automationId=news") == ["news"]
    assert found("severity=critical") == []
    assert found("resolved=false") == ["news", "other"]
    assert found("resolved=true") == []


def test_running_executions_are_shown_with_their_whole_log(client: FlaskClient) -> None:
    create(client)
    execution_id = started(client)

    data = client.get(f"{MONITOR}?type=executions").get_json()["data"]

    assert data["activeCount"] == 1
    assert data["executions"][0]["executionId"] == execution_id
    assert data["executions"][0]["fullLog"][0]["message"] == "Started by hand."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "delete", "violationId": str(uuid4()), "resolution": "x"},
        {"action": "resolve_violation", "violationId": "1", "resolution": "x"},
        {"action": "resolve_violation", "violationId": str(uuid4()), "resolution": ""},
    ],
)
def test_a_resolution_that_does_not_fit_is_refused(
    client: FlaskClient, body: dict[str, str]
) -> None:
    assert client.post(MONITOR, json=body).status_code == 400
    assert client.get(f"{MONITOR}?type=nothing").status_code == 400


def let_wait(client: FlaskClient, database: Database, execution_id: str) -> dict[str, Any]:
    """Let the execution wait for its approval; return what the API says of it."""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE executions SET phase = 'cancellation_window', approval_reason = 'Because.'"
        )
    asked: dict[str, Any] = client.get(f"/api/executions/{execution_id}").get_json()["approval"]
    return asked


def test_whoever_has_a_name_approves_under_it_whatever_is_claimed(
    push_url: str, database: Database, tmp_path: Path, cadence_service: str
) -> None:
    client = beside_cadence(push_url, tmp_path, cadence_service)
    create(client)
    execution_id = started(client)
    asked = let_wait(client, database, execution_id)
    token = {"name": "phone", "role": "operator", "owner": "Anna Bauer"}
    secret = client.post("/api/tokens", json=token).get_json()["token"]

    given = client.post(
        f"/api/executions/{execution_id}/approve",
        json={"by": "the boss", **{n: asked[n] for n in ("contentHash", "audienceHash")}},
        headers={"Authorization": f"Bearer {secret}"},
    )

    assert given.get_json()["approval"]["approvedBy"] == "Anna Bauer (token phone)"


def test_an_approval_is_asked_for_shown_and_given(
    push_url: str, database: Database, tmp_path: Path, cadence_service: str
) -> None:
    client = beside_cadence(push_url, tmp_path, cadence_service)
    create(client)
    execution_id = started(client)
    assert client.get(f"/api/executions/{execution_id}").get_json()["approval"] is None
    assert client.post(f"/api/executions/{execution_id}/approve").status_code == 409
    asked = let_wait(client, database, execution_id)
    assert (asked["reason"], asked["approvedBy"]) == ("Because.", None)

    stale = {"by": "Olga", "contentHash": "0" * 64}
    assert client.post(f"/api/executions/{execution_id}/approve", json=stale).status_code == 409
    seen = {**stale, "contentHash": asked["contentHash"], "audienceHash": asked["audienceHash"]}
    given = client.post(f"/api/executions/{execution_id}/approve", json=seen)

    assert given.status_code == 200
    assert given.get_json()["approval"]["approvedBy"] == "Olga"


def test_without_cadence_there_is_nothing_that_an_approval_could_be_bound_to(
    client: FlaskClient,
) -> None:
    create(client)
    execution_id = started(client)

    response = client.post(f"/api/executions/{execution_id}/approve")

    assert response.status_code == 503
    assert "cadence service" in response.get_json()["error"]
