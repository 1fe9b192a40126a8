"""One push, sent ad hoc over HTTP, in the original's shapes."""

import gc
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from chassis.postgres import Database
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.one_off.ad_hoc_pushes import SEND_PUSH, a_push, post, register


def post_file(client: FlaskClient, content: str, query: str = "", **changes: Any) -> TestResponse:
    form = {**a_push(userIds=None, **changes), "file": (BytesIO(content.encode()), "a.csv")}
    return client.post(f"{SEND_PUSH}{query}", data=form)


def execution(client: FlaskClient, response: TestResponse) -> dict[str, Any]:
    answer = client.get(f"/api/executions/{response.get_json()['jobId']}").get_json()
    assert isinstance(answer, dict)
    return answer


def test_a_send_that_takes_long_is_answered_with_where_to_look(client: FlaskClient) -> None:
    response = post(client)

    job_id = response.get_json()["jobId"]
    assert response.status_code == 202
    assert response.get_json()["success"] is True
    assert response.headers["Location"] == f"/api/executions/{job_id}"
    shown = execution(client, response)
    assert (shown["trigger"], shown["mode"]) == ("ad_hoc", "live")
    assert client.get("/api/automation/recipes").get_json()["data"] == []


def test_the_outcome_is_answered_in_the_originals_shape(client: FlaskClient, bench: Bench) -> None:
    register(bench, ALICE, BOB)
    users = f"{ALICE}, {BOB}"
    bench.run(post(client, "k", userIds=users).get_json()["jobId"])

    response = post(client, "k", userIds=users)

    answer = response.get_json()
    assert response.status_code == 200
    assert answer.pop("jobId").startswith("ad-hoc-")
    assert answer == {"success": True, "message": "2 of 2 users were sent to."}


def test_tokens_that_failed_are_answered(
    client: FlaskClient, bench: Bench, database: Database
) -> None:
    register(bench, ALICE, BOB)
    users = [str(ALICE), str(BOB)]
    bench.run(post(client, "k", userIds=users).get_json()["jobId"])
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE deliveries SET state = 'failed' WHERE user_id = %s", (BOB,))

    assert post(client, "k", userIds=users).get_json()["failedTokens"] == [f"token-{BOB}"]


def test_nobody_with_a_device_is_a_404(client: FlaskClient, bench: Bench) -> None:
    first = post(client, "k")
    bench.run(first.get_json()["jobId"])

    response = post(client, "k")

    assert response.status_code == 404
    assert response.get_json()["details"] == {"jobId": first.get_json()["jobId"]}
    assert response.get_json()["detail"] == "None of the 1 user to be sent to has a device."


def test_users_held_back_are_a_success_without_a_send(client: FlaskClient, bench: Bench) -> None:
    register(bench, ALICE)
    bench.run(post(client).get_json()["jobId"])
    bench.run(post(client, "k").get_json()["jobId"])

    answer = post(client, "k").get_json()

    assert answer["success"] is True
    assert answer["message"] == "Nobody was sent to: cadence caps all 1 user."


@pytest.mark.parametrize(
    ("query", "field"), [("?dryRun=true", {}), ("", {"dryRun": "true"})], ids=["query", "form"]
)
def test_a_dry_run_of_a_file_sends_nothing(
    client: FlaskClient,
    bench: Bench,
    query: str,
    field: dict[str, str],
) -> None:
    register(bench, ALICE)
    content = f"user_id,name\r\n{ALICE},Alice\r\n{CAROL},\r\n"
    changes = {"title": "Hi [[var:name]]", "jobId": "../../job", **field}
    bench.run(post_file(client, content, query, **changes).get_json()["jobId"])

    response = post_file(client, content, query, **changes)

    message = "A dry run: 1 of 2 users would be sent to. Not: 1 without a device."
    assert response.get_json()["message"] == message
    assert execution(client, response)["mode"] == "real-dry-run"
    assert not (bench.folder / "messages.jsonl").exists()


def test_ids_come_as_a_list_or_as_a_text(client: FlaskClient) -> None:
    for users in ([str(ALICE), str(BOB)], f"{ALICE},{BOB}", f"{ALICE}\n{BOB}\n"):
        assert post(client, userIds=users).status_code == 202


def test_a_job_id_is_a_key_and_names_no_file(client: FlaskClient, tmp_path: Path) -> None:
    first, again = (post(client, jobId="../../etc/job").get_json() for _ in "ab")
    other = post(client, jobId="../../etc/job", title="Other")

    assert first["jobId"] == again["jobId"]
    assert "etc" not in first["jobId"]
    assert other.status_code == 422
    assert not [path for path in tmp_path.rglob("*") if "job" in path.name]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"title": None, "body": None}, "title: is missing"),
        ({"body": ""}, "body: is missing"),
        ({"deepLink": "ftp://example.com"}, "deepLink: has the scheme 'ftp'"),
        ({"layerId": None}, "layerId: is missing"),
        ({"layerId": "many"}, "layerId: Not a valid integer."),
        ({"userIds": []}, "file: is missing"),
        ({"userIds": [str(ALICE)] * 3 + ["bob"]}, "userIds: 'bob' is no user id"),
        ({"jobId": "a\u0007"}, "jobId: Use 1 to 200"),
        ({"deeplink": "https://example.com"}, "deeplink: Unknown field."),
    ],
)
def test_what_does_not_fit_is_told_by_its_field(
    client: FlaskClient, changes: dict[str, Any], says: str
) -> None:
    response = post(client, **changes)

    assert response.status_code == 400
    assert response.get_json()["detail"].startswith(says)
    assert client.get("/api/executions").get_json()["executions"] == []


def test_variables_without_a_column_come_with_details(client: FlaskClient) -> None:
    response = post_file(client, f"user_id,a\n{ALICE},1", title="[[var:b]]", body="[[var:c]]")

    assert response.status_code == 400
    details = {"missingColumns": ["b", "c"], "malformedVariables": []}
    assert response.get_json()["details"] == details


def test_a_file_and_ids_are_not_both_taken(client: FlaskClient) -> None:
    form = {**a_push(), "file": (BytesIO(b"user_id\n"), "a.csv")}

    assert (
        client.post(SEND_PUSH, data=form).get_json()["detail"].startswith("userIds: comes beside")
    )


def test_a_viewer_may_not(client: FlaskClient) -> None:
    response = client.post(SEND_PUSH, json=a_push(), headers={"Authorization": "Bearer viewer"})

    assert response.status_code == 403


@pytest.mark.slow
def test_a_file_may_be_larger_than_any_other_body(client: FlaskClient) -> None:
    rows = f"{ALICE},{'x' * 65_000}\n" * 540  # 33 MB
    file = FileStorage(BytesIO(f"user_id,note\n{rows}".encode()), "a.csv")
    boundary, body = encode_multipart({**a_push(userIds=None), "file": file})

    form = {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}
    assert client.post(SEND_PUSH, **form).status_code == 202
    gc.collect()  # a spooled file that was left open would be told of now
