"""Scheduled pushes over HTTP, in the original's shapes."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.app import create_app
from tests.people import BOB
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.one_off.scheduled_pushes import (
    SCHEDULED_PUSHES,
    a_push,
    instant,
    scheduled,
)
from tests.push_blaster.web.recipes import create, on_disk


def test_what_is_scheduled_is_answered_listed_and_an_automation(
    client: FlaskClient, tmp_path: Path
) -> None:
    wanted = a_push(scheduledFor="2031-05-01T18:30:15.250+02:00")

    answer = client.post(SCHEDULED_PUSHES, json=wanted).get_json()

    push = answer["scheduledPush"]
    assert answer["success"] is True
    assert answer["message"] == "Scheduled for 2031-05-01T16:30:15+00:00."
    assert push["scheduledFor"] == "2031-05-01T16:30:15+00:00"
    assert push["status"] == "scheduled"
    assert push["execution"] is None
    assert {name: push[name] for name in ("title", "body", "deepLink", "audienceDescription")} == {
        name: wanted[name] for name in ("title", "body", "deepLink", "audienceDescription")
    }
    document = on_disk(tmp_path, push["id"])
    assert (document["type"], document["schedule"]["frequency"]) == ("single_push", "once")
    assert client.get(f"{SCHEDULED_PUSHES}/{push['id']}").get_json()["scheduledPush"] == push


def test_pushes_are_listed_by_their_instant_and_automations_are_none(client: FlaskClient) -> None:
    create(client)
    for hours in (3, 1, 2):
        scheduled(client, scheduledFor=instant(hours), title=f"in {hours}")

    listing = client.get(SCHEDULED_PUSHES).get_json()

    assert [push["title"] for push in listing["scheduledPushes"]] == ["in 1", "in 2", "in 3"]
    assert client.get(f"{SCHEDULED_PUSHES}/news").status_code == 404


def test_one_that_is_very_soon_says_when_it_can_go_out(client: FlaskClient) -> None:
    answer = client.post(SCHEDULED_PUSHES, json=a_push(scheduledFor=instant(1 / 60))).get_json()

    told = datetime.fromisoformat(answer["message"].split(" at ")[1].rstrip("."))
    assert told - utc_now() > timedelta(minutes=4)


def test_the_same_idempotency_key_schedules_once(client: FlaskClient) -> None:
    push = a_push()
    answers = [
        client.post(SCHEDULED_PUSHES, json=push, headers={"Idempotency-Key": "k"}).get_json()
        for _ in range(2)
    ]

    assert answers[0]["scheduledPush"]["id"] == answers[1]["scheduledPush"]["id"]
    assert len(client.get(SCHEDULED_PUSHES).get_json()["scheduledPushes"]) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scheduledFor": "2020-01-01T00:00:00Z"}, "scheduledFor lies in the past"),
        (
            {"scheduledFor": "2031-05-01T18:30:00"},
            "scheduledFor: Write an instant",
        ),
        ({"scheduledFor": "soon"}, "scheduledFor: Write an instant"),
        ({"scheduledFor": "0001-01-01T00:00:00+14:00"}, "scheduledFor: Instants lie between"),
        ({"scheduledFor": "9999-12-31T23:59:59-14:00"}, "scheduledFor: Instants lie between"),
        ({"title": ""}, "title: Length must be between 1"),
        ({"layerId": 6}, "layerId: Must be"),
        ({"deepLinkUrl": "x"}, "deepLinkUrl: Unknown field"),
        ({"deepLink": "app://home"}, "deepLink has the scheme 'app'"),
        ({"title": "Hi [[var:name]]"}, "users of manualUserIds have no variables"),
        ({"title": "Hi [[vra:name]]"}, "title"),
        ({"audienceCriteria": {"manualUserIds": ["u1"]}}, "manualUserIds[0]: Not a valid UUID"),
        ({"audienceCriteria": {"filters": {"lastActiveDays": 30}}}, "(PUSH_FILTER_SCRIPT)"),
        ({"audienceCriteria": {}}, "name users in manualUserIds"),
        ({"audienceCriteria": {"filters": {"a=b": 1}}}, "Use letters, digits and '_'"),
    ],
)
def test_what_cannot_be_scheduled_names_the_field_and_the_way_out(
    client: FlaskClient, changes: dict[str, Any], said: str
) -> None:
    refused = client.post(SCHEDULED_PUSHES, json=a_push(**changes))

    assert refused.status_code == 400
    assert said in refused.get_json()["error"]
    assert client.get(SCHEDULED_PUSHES).get_json()["scheduledPushes"] == []


def test_filters_become_parameters_of_a_script(
    push_url: str, client: FlaskClient, tmp_path: Path
) -> None:
    (tmp_path / "scripts" / "by_filter.py").write_text('"""Users by filter."""')
    (tmp_path / "scripts" / "own.py").write_text('"""Own."""')
    filters = {"lastActiveDays": 30, "isTrustedTraderCandidate": True, "joinedAfterDate": ""}
    own = {"filters": {}, "customScript": {"scriptId": "own", "parameters": {"a": "1"}}}
    settings = settings_for(push_url, tmp_path)
    object.__setattr__(settings, "filter_script", "by_filter")
    told = create_app(settings).test_client()
    told.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"

    by_filter = scheduled(told, audienceCriteria={"filters": filters, "dataPacks": {"a": True}})
    by_own = scheduled(client, audienceCriteria=own)

    script = by_filter["audienceCriteria"]["customScript"]
    assert script["scriptId"] == "by_filter"
    assert script["parameters"] == {
        "lastActiveDays": "30",
        "isTrustedTraderCandidate": "true",
        "dataPacks": '{"a": true}',
    }
    assert by_own["audienceCriteria"]["customScript"] == own["customScript"]
    missing = {"customScript": {"scriptId": "none"}}
    assert client.post(SCHEDULED_PUSHES, json=a_push(audienceCriteria=missing)).status_code == 404


def test_a_push_is_changed_cancelled_and_scheduled_again(client: FlaskClient) -> None:
    push = scheduled(client)
    one, later = f"{SCHEDULED_PUSHES}/{push['id']}", "2031-05-01T16:30:00+00:00"

    def put(**changes: Any) -> dict[str, Any]:
        response = client.put(one, json=changes)
        assert response.status_code == 200, response.json
        changed: dict[str, Any] = response.get_json()["scheduledPush"]
        return changed

    changed = put(title="Other", scheduledFor=later)
    cancelled = put(status="cancelled")
    again = put(status="scheduled", audienceCriteria={"manualUserIds": [str(BOB)]})

    assert (changed["title"], changed["scheduledFor"]) == ("Other", later)
    assert changed["body"] == push["body"]
    assert cancelled["status"] == "cancelled"
    assert (again["status"], again["title"]) == ("scheduled", "Other")
    assert again["audienceCriteria"]["manualUserIds"] == [str(BOB)]
    assert client.put(one, json={"status": "sent"}).status_code == 400
    assert client.put(one, json={"status": "gone"}).status_code == 400
    assert client.put(one, json={"scheduledFor": "2020-01-01T00:00:00Z"}).status_code == 400
    assert client.delete(one).status_code == 200
    assert client.get(one).status_code == 404


def test_viewers_look_and_only_admins_schedule(client: FlaskClient) -> None:
    push = scheduled(client)
    for token in ("viewer", "operator"):
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"

        assert client.get(SCHEDULED_PUSHES).status_code == 200
        assert client.post(SCHEDULED_PUSHES, json=a_push()).status_code == 403
        assert client.delete(f"{SCHEDULED_PUSHES}/{push['id']}").status_code == 403
