"""Run an automation now, and ask how far it is."""

from flask.testing import FlaskClient

from chassis.postgres import Database
from tests.push_blaster.web.execution_support import CONTROL
from tests.push_blaster.web.recipes import create

START, POLL = "/api/automation/execute-start", "/api/automation/execute-poll?automationId=news"


def test_a_start_is_answered_at_once_and_polled_from_a_cursor(
    client: FlaskClient, database: Database
) -> None:
    create(client)
    assert client.get(POLL).status_code == 404

    response = client.post(START, json={"automationId": "news"})
    execution_id = response.get_json()["executionId"]
    first = client.get(POLL).get_json()
    again = client.get(f"{POLL}&cursor={first['nextCursor']}").get_json()
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE execution_pushes SET ended_at = now()")

    assert response.status_code == 202
    assert first["execution"]["executionId"] == execution_id
    assert first["execution"]["status"] == "running"
    assert first["execution"]["progress"] == {"current": 0, "total": 1, "percentage": 0}
    assert [entry["message"] for entry in first["logs"]] == ["Started by hand."]
    assert (again["logs"], again["nextCursor"]) == ([], first["nextCursor"])
    done = client.get(f"{POLL}&executionId={execution_id}").get_json()["execution"]
    assert done["progress"]["percentage"] == 100


def test_a_start_is_refused_while_one_runs_and_repeated_by_its_key(client: FlaskClient) -> None:
    create(client)
    key = {"Idempotency-Key": "k"}
    first, again = (client.post(START, json={"automationId": "news"}, headers=key) for _ in "ab")

    assert first.get_json()["executionId"] == again.get_json()["executionId"]
    assert client.post(START, json={"automationId": "news"}).status_code == 409
    assert client.post(START, json={"automationId": "none"}).status_code == 404
    assert client.post(START, json={}).status_code == 400


def test_the_control_action_execute_now_promises_nothing_that_has_not_happened(
    client: FlaskClient,
) -> None:
    create(client)
    body = {"automationId": "news", "action": "execute_now"}

    response = client.post(CONTROL, json=body)

    answer = response.get_json()
    assert (response.status_code, answer["status"]) == (202, "waiting")
    assert "is started, and nothing is sent yet" in answer["message"]
    found = client.get(f"/api/executions/{answer['executionId']}").get_json()
    assert found["mode"] == "live"
    assert client.post(CONTROL, json=body).status_code == 409


def test_viewers_start_nothing(client: FlaskClient) -> None:
    create(client)
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer viewer"

    assert client.post(START, json={"automationId": "news"}).status_code == 403
