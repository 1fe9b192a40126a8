"""Trying an automation out over HTTP: the suite, the modes, their log, their end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.adapters.operations.execution_stops import end_execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import RUNNING, Phase
from tests.builders import a_document
from tests.people import ALICE
from tests.push_blaster.cadence_support import beside_cadence
from tests.push_blaster.web.recipes import create

TEST = "/api/automation/test"


def start(client: FlaskClient, mode: str, automation_id: str = "news") -> str:
    response = client.post(f"{TEST}/{automation_id}", json={"mode": mode})
    assert response.status_code == 202, response.json
    execution_id: str = response.get_json()["executionId"]
    return execution_id


def end(database: Database, execution_id: str, phase: Phase, reason: str) -> None:
    with database.transaction() as connection:
        assert end_execution(connection, execution_id, RUNNING, (phase, reason), utc_now())


def events(response: Any) -> list[dict[str, Any]]:
    found = []
    for block in response.get_data(as_text=True).strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        found.append({"id": lines.get("id"), **json.loads(lines["data"])})
    return found


def follow(client: FlaskClient, mode: str, **options: Any) -> list[dict[str, Any]]:
    execution_id = options.pop("execution_id", None)
    query = {"mode": mode, **({"executionId": execution_id} if execution_id else {})}
    response = client.get(f"{TEST}/news", query_string=query, **options)
    assert response.mimetype == "text/event-stream", response.json
    return events(response)


def test_a_test_is_started_listed_and_killed(client: FlaskClient) -> None:
    create(client)
    execution_id = start(client, "test-live-send")

    (running,) = client.get(f"{TEST}/news/kill").get_json()["runningTests"]
    assert (running["key"], running["mode"]) == ("news-test-live-send", "test-live-send")
    assert (running["executionId"], running["hasProcess"]) == (execution_id, False)
    killed = client.post(f"{TEST}/news/kill", json={"mode": "test-live-send"}).get_json()
    assert killed == {"success": True, "message": f"Killed: {execution_id}."}
    assert client.get(f"/api/executions/{execution_id}").get_json()["phase"] == "cancelled"
    again = client.post(f"{TEST}/news/kill", json={"mode": "test-live-send"})
    assert (again.status_code, again.get_json()["success"]) == (200, False)


def test_the_same_key_starts_a_test_once(client: FlaskClient) -> None:
    create(client)
    answers = {
        client.post(
            f"{TEST}/news", json={"mode": "real-dry-run"}, headers={"Idempotency-Key": "k"}
        ).get_json()["executionId"]
        for _ in range(3)
    }

    assert len(answers) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "mode: "),
        ({"mode": "loud"}, "mode: "),
        ({"mode": "live"}, "POST /api/executions"),
        ({"mode": "live-send"}, "POST /api/executions"),
        ({"mode": "test-dry-run", "slot": "2030-01-01T00:00:00Z"}, "send time"),
        ({"mode": "test-scheduled-send", "slot": "2020-01-01T00:00:00Z"}, "send time"),
    ],
)
def test_a_start_that_is_no_test_is_refused(
    client: FlaskClient, body: dict[str, Any], said: str
) -> None:
    create(client)

    response = client.post(f"{TEST}/news", json=body)

    assert response.status_code == 400
    assert said in response.get_json()["error"]
    assert client.get("/api/executions").get_json()["executions"] == []


@pytest.mark.parametrize("mode", ["test-live-send", "test-scheduled-send", "live", "live-send"])
def test_a_get_never_starts_a_send(client: FlaskClient, mode: str) -> None:
    create(client)

    response = client.get(f"{TEST}/news?mode={mode}")

    assert response.status_code == 400
    assert "A GET sends nothing" in response.get_json()["error"]
    assert client.get("/api/executions").get_json()["executions"] == []


@pytest.fixture
def ended_soon(database: Database, client: FlaskClient) -> Callable[[str], None]:
    """End whatever test runs as soon as it is asked for; there is no engine here."""

    def finish(phase: str) -> None:
        for execution in client.get("/api/executions").get_json()["executions"]:
            if execution["status"] == "running":
                end(database, execution["id"], Phase(phase), f"It {phase}.")

    return finish


def test_a_followed_test_tells_its_log_and_how_it_went(
    client: FlaskClient, ended_soon: Callable[[str], None]
) -> None:
    create(client)
    execution_id = start(client, "test-live-send")
    ended_soon("completed")

    told = follow(client, "test-live-send", execution_id=execution_id)

    assert [event["type"] for event in told] == ["log", "result"]
    assert (told[0]["stage"], told[0]["message"]) == ("INIT", "Started by hand.")
    assert (told[1]["success"], told[1]["message"]) == (True, "It completed.")
    assert told[0]["id"].startswith(f"{execution_id}|")


@pytest.mark.parametrize(
    ("phase", "last"),
    [("failed", {"type": "error"}), ("cancelled", {"type": "result", "success": False})],
)
def test_a_test_that_did_not_go_through_says_so(
    client: FlaskClient, ended_soon: Callable[[str], None], phase: str, last: dict[str, Any]
) -> None:
    create(client)
    execution_id = start(client, "test-dry-run")
    ended_soon(phase)

    told = follow(client, "test-dry-run", execution_id=execution_id)[-1]

    assert told == {"id": None, "message": f"It {phase}.", **last}


def test_a_line_that_breaks_is_taken_up_where_it_was_and_starts_nothing_anew(
    client: FlaskClient, ended_soon: Callable[[str], None]
) -> None:
    create(client)
    execution_id = start(client, "test-dry-run")
    ended_soon("completed")
    (first, *_) = follow(client, "test-dry-run", execution_id=execution_id)

    again = follow(client, "test-dry-run", headers={"Last-Event-ID": first["id"]})

    assert [event["type"] for event in again] == ["result"]
    assert len(client.get("/api/executions").get_json()["executions"]) == 1


@pytest.mark.parametrize("mode", sorted(Mode))
def test_a_get_starts_nothing_and_says_how_to_start_a_test(client: FlaskClient, mode: str) -> None:
    create(client)

    told = client.get(f"{TEST}/news?mode={mode}")
    client.head(f"{TEST}/news?mode={mode}")

    assert told.status_code == 400
    path = "executions" if mode == "live" else "automation/test/news"
    assert f'POST /api/{path} with {{"mode": "{mode}"}}' in told.get_json()["detail"]
    assert client.get("/api/executions").get_json()["executions"] == []


def test_a_test_that_runs_is_followed_by_everybody_who_asks_for_its_mode(
    client: FlaskClient, database: Database
) -> None:
    create(client)
    start(client, "real-dry-run")
    first = client.get(f"{TEST}/news?mode=real-dry-run", buffered=False)
    second = client.get(f"{TEST}/news?mode=real-dry-run", buffered=False)

    (execution,) = client.get("/api/executions").get_json()["executions"]
    assert execution["mode"] == "real-dry-run"
    end(database, execution["id"], Phase.COMPLETED, "Done.")
    assert events(first)[-1]["message"] == events(second)[-1]["message"] == "Done."


def test_a_test_is_followed_only_as_what_it_is(client: FlaskClient) -> None:
    create(client)
    create(client, id="other")
    execution_id = start(client, "test-live-send")

    for where, mode in (("other", "test-live-send"), ("news", "test-dry-run")):
        answer = client.get(f"{TEST}/{where}?mode={mode}&executionId={execution_id}")
        assert answer.status_code == 400
        assert "executionId" in answer.get_json()["error"]


def test_a_viewer_may_look_at_tests_and_start_none(client: FlaskClient) -> None:
    create(client)
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer viewer"

    assert client.get(f"{TEST}/news/kill").status_code == 200
    assert client.get(f"{TEST}/news?mode=test-dry-run").status_code == 403
    assert client.post(f"{TEST}/news", json={"mode": "test-dry-run"}).status_code == 403
    assert client.post(f"{TEST}/news/kill", json={"mode": "test-dry-run"}).status_code == 403


# --- the suite -------------------------------------------------------------------------------


def suite(client: FlaskClient, automation_id: str = "news") -> dict[str, Any]:
    response = client.post(TEST, json={"automationId": automation_id})
    assert response.status_code == 200, response.json
    data: dict[str, Any] = response.get_json()["data"]
    return data


def result(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [r for r in report["results"] if r["testName"] == name]
    return dict(found)


def test_the_suite_looks_at_ten_things_and_changes_nothing(
    client: FlaskClient, tmp_path: Path
) -> None:
    create(client)
    before = (tmp_path / "automations" / "news.json").read_bytes()

    report = suite(client)

    counted = report["passedTests"] + report["failedTests"] + report["warningTests"]
    assert report["totalTests"] == counted == 10
    assert report["overallStatus"] == "fail"
    assert (tmp_path / "automations" / "news.json").read_bytes() == before
    assert client.get("/api/executions").get_json()["executions"] == []


def test_the_suite_says_what_is_wrong_and_how_to_mend_it(client: FlaskClient) -> None:
    create(
        client,
        pushSequence=[{"title": "Hi [[vra:x]]", "body": "B" * 201, "deepLink": "javascript://x"}],
        audienceCriteria={"customScript": {"scriptId": "gone"}, "activityDays": 400},
        settings={"testUserIds": ["nobody"], "cancellationWindowMinutes": 5},
        schedule={
            "frequency": "once",
            "startDate": "2020-01-01",
            "executionTime": "10:00",
            "leadTimeMinutes": 10,
        },
    )

    report = suite(client)

    said = {r["testName"]: r["message"] for r in report["results"]}
    assert "[[vra:x]]" in said["Push Sequence"]
    assert "201 characters" in said["Push Sequence"]
    assert "There is no audience script 'gone'" in said["Audience Criteria"]
    assert "asks for 400 days" in said["Audience Criteria"]
    assert "'nobody' is no user id" in said["Safety Controls"]
    assert "Make it 10 min or more" in said["Safety Controls"]
    assert "The lead time is 10 min" in said["Schedule"]
    assert "The cadence rules cannot be checked: " in said["Service Integration Health"]
    assert "No engine is at work" in said["Service Integration Health"]
    failed = {r["testName"] for r in report["results"] if r["status"] == "fail"}
    assert failed == {
        "Schedule",
        "Push Sequence",
        "Audience Criteria",
        "Service Integration Health",
        "Safety Controls",
    }


def test_the_suite_passes_what_is_well(
    push_url: str, database: Database, tmp_path: Path, cadence_service: str
) -> None:
    client = beside_cadence(push_url, tmp_path, cadence_service)
    (tmp_path / "scripts").mkdir(exist_ok=True)
    (tmp_path / "scripts" / "users.py").write_text("")
    settings = {
        "testUserIds": [str(ALICE)],
        "safeguards": {"emergencyContacts": ["ops@example.org"]},
    }
    pushes = [{"title": "T", "body": "B", "deepLink": "https://example.org/x"}]
    criteria = {"customScript": {"scriptId": "users"}}
    create(
        client,
        **a_document(pushSequence=pushes, settings=settings, audienceCriteria=criteria),
    )
    now = utc_now()
    with database.transaction() as connection:
        upsert_devices(connection, [Device("phone", ALICE)], now)
        beat(connection, "engine", now, now)
    end(database, start(client, "real-dry-run"), Phase.COMPLETED, "")

    report = suite(client)

    assert [r["message"] for r in report["results"] if r["status"] != "pass"] == []
    assert report["overallStatus"] == "pass"


def test_the_dry_run_check_tells_of_this_version_only(
    client: FlaskClient, database: Database
) -> None:
    create(client)
    assert result(suite(client), "Dry Run Simulation")["status"] == "warning"
    end(database, start(client, "test-dry-run"), Phase.FAILED, "No audience.")
    failed = result(suite(client), "Dry Run Simulation")
    assert (failed["status"], "No audience." in failed["message"]) == ("fail", True)

    client.put("/api/automation/recipes/news", json={"name": "Newer"})

    assert result(suite(client), "Dry Run Simulation")["status"] == "warning"
