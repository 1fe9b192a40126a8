"""The pages about automations: found, looked at, made, changed, run, paused."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.builders import a_document
from tests.page_reader import form_values, table_rows
from tests.people import ALICE
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

CHANGED = "/automations/news/edit"


@pytest.fixture
def news(client: FlaskClient) -> dict[str, Any]:
    return create(client, name="News", status="active", isActive=True, colour="green")


def test_the_list_is_searched_and_sifted(
    viewer: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    client.post("/api/automation/recipes", json=a_document(id="quiet", name="Quiet one"))

    assert "Quiet one" in viewer.get("/automations")
    assert "Quiet one" not in viewer.get("/automations?q=NEWS")
    assert "Quiet one" not in viewer.get("/automations?show=scheduled")
    assert "News" not in viewer.get("/automations?show=draft")
    assert "No automation matches." in viewer.get("/automations?q=nothing+like+it")


def test_a_long_list_comes_in_pages(viewer: Visitor, client: FlaskClient) -> None:
    for number in range(51):
        client.post(
            "/api/automation/recipes", json=a_document(id=f"a{number:02}", name=f"N{number:02}")
        )

    first, second = viewer.get("/automations"), viewer.get("/automations?from=50")

    assert "1 to 50 of 51" in first
    assert "N50" not in first
    assert "N50" in second


def test_one_shows_when_and_how_it_sends(viewer: Visitor, news: dict[str, Any]) -> None:
    page = viewer.get("/automations/news")

    assert page.count("data-countdown") == 5
    assert "sends without the cap check, marked as uncapped" in page
    assert "On Android" in page
    assert "/automations/news/run" not in page


def test_saving_the_form_as_it_is_changes_nothing_but_the_version(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    saved = admin.save(CHANGED)

    after = client.get("/api/automation/recipes/news").get_json()["data"]
    assert saved.status_code == 303, saved.text
    assert after["version"] == news["version"] + 1
    for part in ("schedule", "pushSequence", "status", "isActive", "colour"):
        assert {part: after[part]} == {part: news[part]}


def test_what_does_not_fit_is_said_beside_its_field_and_nothing_is_lost(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    refused = admin.save(
        CHANGED,
        **{"schedule.executionTime": "25:99", "pushSequence.0.title": "", "name": "Newer"},
    )

    assert refused.status_code == 400
    assert 'id="schedule.executionTime-said"' in refused.text
    assert "is no time of day" in refused.text
    assert 'id="pushSequence.0.title-said"' in refused.text
    assert 'value="Newer"' in refused.text
    assert client.get("/api/automation/recipes/news").get_json()["data"]["name"] == "News"


def test_a_lost_update_is_shown_and_not_overwritten(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form: dict[str, Any] = {**form_values(admin.get(CHANGED)), "name": "Mine"}
    client.put("/api/automation/recipes/news", json={"name": "Theirs"})

    conflict = admin.client.post(CHANGED, data=form)

    assert conflict.status_code == 409
    assert ["Name", "Mine", "Theirs"] in table_rows(conflict.text)
    assert client.get("/api/automation/recipes/news").get_json()["data"]["name"] == "Theirs"
    meant = admin.client.post(CHANGED, data={**form, "version": ["2"]})
    assert meant.status_code == 303
    assert client.get("/api/automation/recipes/news").get_json()["data"]["name"] == "Mine"


def test_a_new_one_is_made_with_its_pushes_in_order(admin: Visitor, client: FlaskClient) -> None:
    page = "/automations/new"
    form: dict[str, Any] = {
        **form_values(admin.get(page)),
        "name": "Spring",
        "then": "schedule",
        "order": ["1", "0"],
        "audienceCriteria.manualUserIds": str(ALICE),
        "settings.testUserIds": str(ALICE),
        "settings.safeguards.alertThresholds.failureRate": "12.5",
    }
    for number, title in ((0, "Second"), (1, "First")):
        form |= {
            f"pushSequence.{number}.title": title,
            f"pushSequence.{number}.body": "Body",
            f"pushSequence.{number}.layerId": "2",
        }

    made = admin.client.post(page, data=form)

    assert made.status_code == 303, made.text
    (document,) = client.get("/api/automation/recipes").get_json()["data"]
    assert [push["title"] for push in document["pushSequence"]] == ["First", "Second"]
    assert (document["status"], document["isActive"]) == ("active", True)
    assert document["settings"]["safeguards"]["alertThresholds"]["failureRate"] == 0.125


def test_the_form_of_a_new_one_sent_twice_creates_one_and_changed_another(
    admin: Visitor, client: FlaskClient
) -> None:
    page = "/automations/new"
    form: dict[str, Any] = {
        **form_values(admin.get(page), "editor"),
        "name": "Spring",
        "then": "schedule",
        "audienceCriteria.manualUserIds": str(ALICE),
        "settings.testUserIds": str(ALICE),
        "pushSequence.0.title": "Hi",
        "pushSequence.0.body": "Body",
    }

    first, again = (admin.client.post(page, data=form) for _ in range(2))
    other = admin.client.post(page, data={**form, "name": "Summer"})

    assert first.status_code == again.status_code == other.status_code == 303, again.text
    assert first.location == again.location != other.location
    found = client.get("/api/automation/recipes").get_json()["data"]
    assert sorted(document["name"] for document in found) == ["Spring", "Summer"]


def test_the_preview_follows_what_is_typed_and_saves_nothing(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form: dict[str, Any] = {
        **form_values(admin.get(CHANGED)),
        "pushSequence.0.title": "Typed [[var:x",
        "schedule.timezone": "Asia/Kathmandu",
    }

    shown = admin.client.post("/automations/preview", data=form).text

    assert "Typed" in shown
    assert "in Asia/Kathmandu" in shown
    assert 'class="fault"' in shown
    assert client.get("/api/automation/recipes/news").get_json()["data"]["version"] == 1


def test_run_pause_and_resume_ask_first_and_act_once(
    operator: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    once = re.search(r'name="once" value="([^"]+)"', operator.get("/automations/news/run"))
    assert once
    first = operator.post("/automations/news/run", once=once[1])
    again = operator.post("/automations/news/run", once=once[1])

    assert first.location == again.location
    assert "Pause this automation?" in operator.get("/automations/news/pause")
    operator.post("/automations/news/pause", reason="Holiday")
    assert client.get("/api/automation/recipes/news").get_json()["data"]["status"] == "paused"
    operator.post("/automations/news/resume")
    assert client.get("/api/automation/recipes/news").get_json()["data"]["status"] == "active"


def test_an_operator_does_not_edit(operator: Visitor, news: dict[str, Any]) -> None:
    assert operator.client.get(CHANGED).status_code == 403
    assert "/edit" not in operator.get("/automations/news")


def test_a_draft_that_was_never_scheduled_is_scheduled_and_not_resumed(
    admin: Visitor, client: FlaskClient
) -> None:
    create(client, id="draft", name="Draft")
    create(client, id="news", name="News", status="active", isActive=True)
    admin.post("/automations/news/pause")

    draft, paused = admin.get("/automations/draft"), admin.get("/automations/news")
    question = admin.get("/automations/draft/resume")

    assert ("Schedule…" in draft, "Resume…" in draft) == (True, False)
    assert ("Schedule…" in paused, "Resume…" in paused) == (False, True)
    assert "Schedule this automation?" in question
    assert "missed during the pause" not in question
    assert admin.post("/automations/draft/resume").status_code == 303
    admin.post("/automations/draft/pause")
    assert "Resume…" in admin.get("/automations/draft")


def test_an_empty_list_says_what_to_do_next(viewer: Visitor) -> None:
    assert '<a href="/templates">Start from a template</a>' in viewer.get("/automations")
    assert '<a href="/automations">Choose an automation to run</a>' in viewer.get("/executions")
    assert "Show all automations" in viewer.get("/automations?q=nothing")
