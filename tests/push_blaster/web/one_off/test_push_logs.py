"""The log of sends: every send, newest first, with its true counts."""

from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient

from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.builders import NOON
from tests.people import ALICE
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.one_off.ad_hoc_pushes import register

PATH = "/api/push-logs"


def logs(client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(PATH + query).get_json()["logs"]
    return found


def test_an_automations_send_is_told_in_the_originals_fields(
    client: FlaskClient, bench: Bench
) -> None:
    bench.run(bench.start(pushes=[{"title": "Hello", "body": "News", "deepLink": ""}]))

    (entry,) = logs(client)

    assert entry.pop("id") == f"{entry['executionId']}/1"
    assert entry.pop("executionId") == bench.executions()[0].id
    assert entry.pop("startedAt") == entry.pop("timestamp") == NOON.isoformat()
    assert entry.pop("endedAt") > NOON.isoformat()
    assert entry == {
        "automationId": "news",
        "position": 1,
        "trigger": "manual",
        "status": "completed",
        "audienceDescription": "News",
        "audienceSize": 10,
        "title": "Hello",
        "body": "News",
        "deepLink": "",
        "layerId": 3,
        "isDryRun": False,
        "successCount": 10,
        "failureCount": 0,
        "totalTokens": 10,
        "totalCount": 10,
        "errorMessage": None,
    }


def test_an_ad_hoc_push_is_among_them_and_its_dry_run_is_marked(
    client: FlaskClient, bench: Bench
) -> None:
    push = {"title": "Hi", "body": "There", "layerId": 4, "userIds": [str(ALICE)]}
    body = {**push, "audienceDescription": "Alice alone", "dryRun": True}
    bench.run(client.post("/api/send-push", json=body).get_json()["jobId"])

    (entry,) = logs(client)

    assert (entry["trigger"], entry["isDryRun"]) == ("ad_hoc", True)
    assert (entry["audienceDescription"], entry["layerId"]) == ("Alice alone", 4)
    assert (entry["status"], entry["errorMessage"] is None) == ("failed", False)


def test_what_was_stopped_half_way_is_cancelled_with_its_true_counts(
    client: FlaskClient, bench: Bench
) -> None:
    execution_id = bench.start(parameters={"users": 100}, pushes=[{}, {"layerId": 1}])
    bench.work_until_sent(40)
    assert {entry["status"] for entry in logs(client)} == {"in_progress"}

    stop_execution(bench.database, execution_id, "Wrong text.", bench.now)
    bench.run(execution_id)

    second, first = logs(client)
    assert (first["status"], second["status"]) == ("cancelled", "cancelled")
    assert 40 <= first["successCount"] < 100
    assert (first["audienceSize"], second["successCount"]) == (100, 0)
    assert first["errorMessage"] == "Wrong text."


def test_what_failed_before_its_send_is_no_longer_in_progress(
    client: FlaskClient, bench: Bench
) -> None:
    bench.write_script("raise SystemExit('no')")
    bench.run(bench.start())

    (entry,) = logs(client)

    assert entry["status"] == "failed"
    assert "no" in entry["errorMessage"]


def test_a_test_is_counted_by_its_test_users(client: FlaskClient, bench: Bench) -> None:
    register(bench, ALICE)
    bench.run(bench.start(Mode.TEST_LIVE_SEND, settings={"testUserIds": [str(ALICE)]}))

    (entry,) = logs(client)

    assert (entry["status"], entry["audienceSize"]) == ("completed", 10)
    assert entry["successCount"] == 1


def test_the_newest_is_first_and_pages_go_on_at_their_cursor(
    client: FlaskClient, bench: Bench
) -> None:
    for n in range(3):
        bench.run(bench.start(pushes=[{"title": f"{n} a"}, {"title": f"{n} b"}]))
        bench.now += timedelta(days=4)

    titles = []
    query = "?limit=4"
    while query:
        page = client.get(PATH + query).get_json()
        titles.append([entry["title"] for entry in page["logs"]])
        cursor = page["nextCursor"]
        query = f"?limit=4&cursor={cursor.replace('+', '%2B')}" if cursor else ""

    assert titles == [["2 b", "2 a", "1 b", "1 a"], ["0 b", "0 a"]]
    assert client.get(f"{PATH}?cursor=x").status_code == 400
    assert client.get(f"{PATH}?limit=0").status_code == 400
