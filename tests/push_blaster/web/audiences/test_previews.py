"""Previews: the messages that real users would get, of saved automations and of drafts."""

from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.adapters.automations.automation_document import read_draft
from push_blaster.domain.automations.experiment import Experiment, is_in_test, name_draw
from push_blaster.domain.schedule.schedule import next_slots
from tests.journeys.stack import user
from tests.push_blaster.bench import Bench, an_automation_document
from tests.push_blaster.web.recipes import RECIPES
from tests.scripts import a_script

DRAFT = "/api/automation/preview"
PUSH = {"title": "Hi [[var:first_name]]", "body": "Body", "deepLink": "https://x.example/"}


@pytest.fixture
def audience(bench: Bench) -> Bench:
    """The bench, after a run that froze three users, one of them without a name."""
    bench.write_script(
        a_script(f"{user(1)},Ada,token-1", f"{user(2)},,token-2", f"{user(3)},Cleo,token-3")
    )
    bench.run(bench.start())
    return bench


def preview(client: FlaskClient, path: str, **body: Any) -> list[dict[str, Any]]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.json
    answer = response.get_json()
    assert answer["mostBytes"] == {"fcm": 4_096, "apns": 4_096, "webpush": 3_993}
    pushes: list[dict[str, Any]] = answer["pushes"]
    return pushes


def test_a_draft_is_shown_for_the_rows_of_the_last_audience(
    client: FlaskClient, audience: Bench
) -> None:
    draft = an_automation_document(pushes=[{**PUSH, "title": "Dear [[var:first_name]]"}])

    (push,) = preview(client, DRAFT, automation={**draft, "id": "other"})

    assert push["columns"] == ["first_name", "device_token"]
    assert push["faults"] == []
    shown = [(m["userId"], m["title"], m["faults"]) for m in push["messages"]]
    assert shown == [
        (user(1), "Dear Ada", []),
        (user(2), None, ["has no value for first_name"]),
        (user(3), "Dear Cleo", []),
    ]
    first = push["messages"][0]
    assert (first["body"], first["deepLink"]) == ("Body", "https://x.example/")
    assert 200 < first["bytes"]["fcm"] < 1_000
    assert not client.get(RECIPES).get_json()["data"], "nothing is saved"


def test_a_saved_automation_is_shown_for_users_by_name(
    client: FlaskClient, audience: Bench
) -> None:
    variants = [{"id": "only", "title": "Only [[var:first_name|friend]]"}]
    client.post(RECIPES, json=an_automation_document(pushes=[{**PUSH, "variants": variants}]))

    (push,) = preview(client, f"{RECIPES}/news/preview", userIds=[user(9), user(2)])
    (by_id,) = preview(client, DRAFT, automationId="news", limit=1)

    assert [(m["userId"], m["variant"], m["title"]) for m in push["messages"]] == [
        (user(2), "only", "Only friend"),
        (user(9), None, None),
    ]
    assert push["messages"][1]["faults"] == ["is not in the audience"]
    assert [m["userId"] for m in by_id["messages"]] == [user(1)]


def test_faults_of_a_push_are_told_whoever_gets_it(client: FlaskClient, audience: Bench) -> None:
    pushes = [
        {**PUSH, "body": "[[var:city]]"},
        {**PUSH, "body": "[[city]]"},
        {**PUSH, "body": "x" * 4_000, "deepLink": "ftp://x.example/"},
        {**PUSH, "body": "x" * 4_000},
        {**PUSH, "audienceName": "nobody"},
    ]
    draft = an_automation_document(pushes=pushes)

    shown = preview(client, DRAFT, automation=draft, userIds=[user(1)])

    assert shown[0]["faults"] == ["The audience has no column city."]
    assert "[[city]]" in shown[1]["faults"][0]
    assert "deep link" in shown[2]["messages"][0]["faults"][0]
    assert shown[3]["messages"][0]["faults"][0].startswith("is too long: 4")


def test_without_an_audience_a_preview_says_how_to_get_one(client: FlaskClient) -> None:
    (push,) = preview(client, DRAFT, automation=an_automation_document())

    assert "test-dry-run" in push["faults"][0]
    assert push["messages"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"automation": {}, "automationId": "news"},
        {"automation": None, "automationId": ""},
        {"automationId": "news", "limit": 0},
        {"automationId": "news", "userIds": ["Ada"]},
        {"automationId": "news", "userIds": [str(UUID(int=n)) for n in range(101)]},
    ],
)
def test_what_asks_for_nothing_or_too_much_is_refused(
    client: FlaskClient, body: dict[str, Any]
) -> None:
    assert client.post(DRAFT, json=body).status_code == 400


def test_a_viewer_sees_no_users(client: FlaskClient) -> None:
    headers = {"Authorization": "Bearer viewer"}

    assert client.post(DRAFT, json={"automationId": "news"}, headers=headers).status_code == 403


def test_a_preview_says_who_tests_the_variants_at_the_next_slot(
    client: FlaskClient, audience: Bench
) -> None:
    variants = [{"id": "a"}, {"id": "b"}]
    push = {**PUSH, "title": "Hi", "variants": variants, "experiment": {"testPercent": 40}}
    draft = an_automation_document(pushes=[push])
    slot = next_slots(read_draft(draft, utc_now()).schedule, utc_now(), 1)[0].at

    (shown,) = preview(client, DRAFT, automation=draft)
    (plain,) = preview(client, DRAFT, automation=an_automation_document(pushes=[PUSH]))

    experiment = Experiment(test_percent=40)
    draw = name_draw(slot)
    assert {m["userId"]: m["inTest"] for m in shown["messages"]} == {
        user(n): is_in_test(experiment, draft["id"], "push-1", draw, UUID(user(n)))
        for n in (1, 2, 3)
    }
    assert {m["inTest"] for m in plain["messages"]} == {None}


def test_a_user_who_opted_out_gets_nothing_as_in_the_send(
    client: FlaskClient, audience: Bench
) -> None:
    opted_out = [
        {"userId": user(1), "scope": "all"},
        {"userId": user(3), "scope": "layer", "layerId": 3},
        {"userId": user(3), "scope": "automation", "automationId": "another"},
    ]
    for one in opted_out:
        assert client.post("/api/opt-outs", json=one).status_code == 200
    draft = an_automation_document(pushes=[PUSH, {**PUSH, "layerId": 1}])

    first, second = preview(client, DRAFT, automation=draft)

    assert [m["faults"] for m in first["messages"]] == [
        ["has opted out of all pushes"],
        ["has no value for first_name"],
        ["has opted out of the pushes of layer 3"],
    ]
    assert [m["faults"] for m in second["messages"]][2] == []
    assert (first["optedOut"], second["optedOut"]) == (2, 1)
