"""Routes about executions, without an engine: a started execution waits."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.operations.engine_table import beat
from tests.builders import NOON, a_document, died
from tests.push_blaster.doubted import insert_doubted


def start(client: FlaskClient, automation_id: str = "news", **body: Any) -> dict[str, Any]:
    client.post("/api/automation/recipes", json=a_document(id=automation_id))
    response = client.post("/api/executions", json={"automationId": automation_id, **body})
    assert response.status_code == 202, response.json
    started: dict[str, Any] = response.get_json()
    return started


def test_a_start_is_told_listed_and_read(client: FlaskClient) -> None:
    started = start(client)

    assert started["id"].startswith("news@")
    assert (started["phase"], started["status"], started["trigger"]) == (
        "waiting",
        "running",
        "manual",
    )
    assert (started["canCancel"], started["canStop"], started["uncapped"]) == (True, True, False)
    assert client.get(f"/api/executions/{started['id']}").get_json() == started
    assert [e["id"] for e in client.get("/api/executions").get_json()["executions"]] == [
        started["id"]
    ]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "automationId: Missing data"),
        ({"automationId": "none"}, 404, "There is no automation 'none'"),
        ({"automationId": "news", "mode": "loud"}, 400, "mode: "),
        ({"automationId": "news", "cancellationWindowMinutes": -1}, 400, "cancellationWindow"),
        ({"automationId": "news", "when": "now"}, 400, "when: Unknown field."),
    ],
)
def test_a_start_that_does_not_fit_says_why_and_starts_nothing(
    client: FlaskClient, body: dict[str, Any], status: int, said: str
) -> None:
    client.post("/api/automation/recipes", json=a_document())

    response = client.post("/api/executions", json=body)

    assert response.status_code == status
    assert said in response.get_json()["error"]
    assert client.get("/api/executions").get_json()["executions"] == []


def test_a_second_start_waits_for_the_first(client: FlaskClient) -> None:
    first = start(client)

    second = client.post("/api/executions", json={"automationId": "news"})

    assert second.status_code == 409
    assert first["id"] in second.get_json()["error"]


def test_a_key_gives_the_same_execution_and_is_for_one_automation(client: FlaskClient) -> None:
    first = start(client, "a")
    client.post(f"/api/executions/{first['id']}/cancel")
    headers = {"Idempotency-Key": "k"}
    client.post("/api/automation/recipes", json=a_document(id="b"))

    answers = [
        client.post("/api/executions", json={"automationId": name}, headers=headers)
        for name in ("a", "a", "b")
    ]

    assert [a.status_code for a in answers] == [202, 202, 422]
    assert answers[0].get_json()["id"] == answers[1].get_json()["id"]


def test_a_cancel_answers_with_a_receipt_and_can_be_repeated(client: FlaskClient) -> None:
    path = f"/api/executions/{start(client)['id']}/cancel"

    receipts = [client.post(path, json={"reason": "Typo"}).get_json() for _ in range(2)]

    assert receipts[0] == receipts[1]
    assert receipts[0]["execution"]["phase"] == "cancelled"
    assert receipts[0]["execution"]["reason"] == "Typo"
    assert (receipts[0]["sent"], receipts[0]["inDoubt"]) == (0, 0)


def test_what_is_not_there_is_404(client: FlaskClient) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/log"),
        ("GET", "/deliveries"),
        ("POST", "/cancel"),
        ("POST", "/stop"),
    ):
        response = client.open(f"/api/executions/none@1{path}", method=method)
        assert response.status_code == 404, (method, path)


def test_pages_of_executions_follow_each_other(client: FlaskClient) -> None:
    ids = [start(client, f"a{n}")["id"] for n in range(5)]

    first = client.get("/api/executions?limit=3").get_json()
    second = client.get(
        "/api/executions", query_string={"limit": 3, "cursor": first["nextCursor"]}
    ).get_json()

    seen = [e["id"] for e in first["executions"] + second["executions"]]
    assert seen == ids[::-1]
    assert second["nextCursor"] is None


@pytest.mark.parametrize("cursor", ["x", "x|y", "2026-01-01|a", "|"])
def test_a_cursor_that_nobody_gave_out_is_refused(client: FlaskClient, cursor: str) -> None:
    execution_id = start(client)["id"]

    for path in ("/api/executions", f"/api/executions/{execution_id}/deliveries"):
        response = client.get(path, query_string={"cursor": cursor})
        assert response.status_code == 400, path
        assert "cursor: " in response.get_json()["error"]


def test_executions_are_narrowed_by_automation_and_phase(client: FlaskClient) -> None:
    kept, stopped = start(client, "a")["id"], start(client, "b")["id"]
    client.post(f"/api/executions/{stopped}/stop")

    def ids(query: str) -> list[str]:
        found = client.get(f"/api/executions?{query}").get_json()["executions"]
        return [execution["id"] for execution in found]

    assert ids("automationId=a") == [kept]
    assert ids("phase=cancelled") == [stopped]
    assert sorted(ids("phase=cancelled&phase=waiting")) == sorted([kept, stopped])


def test_a_log_is_read_in_parts(client: FlaskClient, database: Database) -> None:
    execution_id = start(client)["id"]
    with database.transaction() as connection:
        append_log(connection, execution_id, "script", "zero\x00byte", NOON)

    first = client.get(f"/api/executions/{execution_id}/log").get_json()
    rest = client.get(f"/api/executions/{execution_id}/log?after={first['nextAfter']}").get_json()

    assert [entry["message"] for entry in first["entries"]] == [
        "Started by hand.",
        "zero\N{REPLACEMENT CHARACTER}byte",
    ]
    assert rest == {"entries": [], "nextAfter": first["nextAfter"]}
    beyond = client.get(f"/api/executions/{execution_id}/log?after={10**20}")
    assert (beyond.status_code, beyond.get_json()["errors"][0][:6]) == (400, "after:")


def test_only_a_live_send_that_was_stopped_on_its_way_is_resumed(client: FlaskClient) -> None:
    started = start(client)
    client.post(f"/api/executions/{started['id']}/cancel")

    refused = client.post(f"/api/executions/{started['id']}/resume")
    unknown = client.post("/api/executions/none/resume")

    assert (refused.status_code, unknown.status_code) == (409, 404)
    assert "Start the automation again" in refused.get_json()["error"]
    assert client.get(f"/api/executions/{started['id']}").get_json()["canResume"] is False


@pytest.mark.parametrize(("own", "shown"), [(600, 600), (400_000, 285_000)])
def test_the_pace_of_a_live_execution_is_the_smaller_of_the_engines_and_its_own(
    client: FlaskClient, database: Database, own: int, shown: int
) -> None:
    client.post(
        "/api/automation/recipes", json=a_document(id="slow", settings={"ratePerMinute": own})
    )
    started = client.post("/api/executions", json={"automationId": "slow"}).get_json()
    now = utc_now()
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE executions SET phase = 'live_execution'")
        beat(connection, "an engine", now, now, {"ratePerMinute": 285_000})

    pace = client.get(f"/api/executions/{started['id']}").get_json()["pace"]

    assert pace == [{"engine": "an engine", "ratePerMinute": shown, "ownRatePerMinute": own}]


def test_a_rate_is_a_whole_number_from_1_on(client: FlaskClient) -> None:
    for rate in (0, 1.5, "many"):
        document = a_document(settings={"ratePerMinute": rate})
        response = client.post("/api/automation/recipes", json=document)

        assert response.status_code == 400
        assert "settings.ratePerMinute" in response.get_json()["error"]


def test_the_doubted_devices_are_counted_and_marked_once(
    client: FlaskClient, database: Database
) -> None:
    path = f"/api/executions/{start(client)['id']}"
    none = client.get(path).get_json()["doubtedDevices"]
    with database.transaction() as connection:
        insert_doubted(connection, path.rpartition("/")[2], [died("a", "404")] * 2, NOON)
    one = client.get(path).get_json()["doubtedDevices"]

    answers = [client.post(f"{path}/dead-devices").get_json() for _ in range(2)]

    assert (none, one) == (0, 1)
    assert answers == [{"marked": 1}, {"marked": 0}]
    assert client.get(path).get_json()["doubtedDevices"] == 0
    assert client.post("/api/executions/none/dead-devices").status_code == 404


def test_devices_of_another_project_are_counted_apart(
    client: FlaskClient, database: Database
) -> None:
    path = f"/api/executions/{start(client)['id']}"
    dead = [died("a", "404"), died("b", "403 SENDER_ID_MISMATCH: another project")]
    with database.transaction() as connection:
        insert_doubted(connection, path.rpartition("/")[2], dead, NOON)

    shown = client.get(path).get_json()

    assert (shown["doubtedDevices"], shown["devicesOfOtherProject"]) == (2, 1)
