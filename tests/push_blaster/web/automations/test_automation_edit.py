"""Two people edit one automation at the same time: each keeps what they changed."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.builders import a_document
from tests.page_reader import form_values, table_rows
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import on_disk

EDIT = "/automations/news/edit"
PATH = "/api/automation/recipes/news"


@pytest.fixture
def news(client: FlaskClient) -> dict[str, Any]:
    document = a_document(
        id="news",
        name="News",
        description="First",
        schedule={
            "frequency": "weekly",
            "timezone": "UTC",
            "executionTime": "12:00",
            "daysOfWeek": [5, 1],
        },
        pushSequence=[
            {"id": "a", "title": "One", "body": "1", "layerId": 2},
            {"id": "b", "title": "Two", "body": "2", "layerId": 3},
        ],
    )
    created = client.post("/api/automation/recipes?acceptFindings=true", json=document)
    data: dict[str, Any] = created.get_json()["data"]
    return data


def saved(client: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get(PATH).get_json()["data"]
    return document


def drawn(admin: Visitor, **typed: Any) -> dict[str, Any]:
    """Return the form as somebody opened it, with what they typed."""
    return {**form_values(admin.get(EDIT), "editor"), **typed}


def test_what_was_typed_into_a_form_of_a_deleted_automation_becomes_a_new_one(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    client.put(PATH, json={"colour": "green"})
    form = drawn(admin, name="Mine <b>", description="Much work", **{"pushSequence.0.title": "New"})
    client.delete(PATH)

    offered = admin.client.post(EDIT, data=form)
    again = form_values(offered.text, "editor")
    made = [admin.client.post("/automations/new", data=again) for _ in "ab"]

    assert offered.status_code == 409
    assert "Somebody has deleted this automation while you were editing." in offered.text
    assert 'action="/automations/new"' in offered.text
    assert [one.status_code for one in made] == [303, 303]
    (new,) = client.get("/api/automation/recipes").get_json()["data"]
    assert (new["name"], new["description"], new["colour"]) == ("Mine <b>", "Much work", "green")
    assert [push["title"] for push in new["pushSequence"]] == ["New", "Two"]
    assert new["id"] != "news"
    assert (new["status"], new["version"]) == ("draft", 1)


def test_a_form_whose_file_is_broken_meanwhile_loses_nothing_either(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], tmp_path: Path
) -> None:
    form = drawn(admin, name="Mine")
    (tmp_path / "automations" / "news.json").write_text("{")

    offered = admin.client.post(EDIT, data=form)
    previewed = admin.client.post("/automations/preview", data=form)
    more = admin.client.post(EDIT, data={**form, "change": "add"})

    assert offered.status_code == 409
    assert "cannot be read any more" in offered.text
    assert 'value="Mine"' in offered.text
    assert (previewed.status_code, more.status_code) == (200, 200)
    assert more.text.count("data-push>") + more.text.count("data-push ") >= 3
    assert (tmp_path / "automations" / "news.json").read_text() == "{"


def test_a_fault_in_a_form_of_a_deleted_automation_keeps_what_the_form_does_not_show(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    client.put(PATH, json={"colour": "green"})
    form = drawn(admin)
    client.delete(PATH)
    offered = form_values(admin.client.post(EDIT, data=form).text, "editor")

    faulty = admin.client.post("/automations/new", data={**offered, "name": ""})
    mended = {**form_values(faulty.text, "editor"), "name": "Mended"}
    admin.client.post("/automations/new", data=mended)

    assert faulty.status_code == 400
    (new,) = client.get("/api/automation/recipes").get_json()["data"]
    assert (new["name"], new["colour"]) == ("Mended", "green")


def test_an_untouched_field_does_not_overwrite_what_a_colleague_saved(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form = drawn(admin, name="Mine")
    settings = {**news["settings"], "ratePerMinute": 60}
    schedule = {**news["schedule"], "daysOfWeek": [5, 1, 3]}
    client.put(PATH, json={"description": "Theirs", "settings": settings, "schedule": schedule})

    sent = admin.client.post(EDIT, data=form)

    assert sent.status_code == 303, sent.text
    after = saved(client)
    assert (after["name"], after["description"]) == ("Mine", "Theirs")
    assert after["settings"]["ratePerMinute"] == 60
    assert after["schedule"]["daysOfWeek"] == [5, 1, 3]
    assert after["version"] == news["version"] + 2
    assert "Kept as saved: Description" in admin.get("/automations/news")


def test_an_untouched_field_keeps_what_somebody_wrote_into_the_file(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], tmp_path: Path
) -> None:
    form = drawn(admin, name="Mine")
    file = tmp_path / "automations" / "news.json"
    by_hand = {**on_disk(tmp_path), "description": "By hand"}
    file.write_text(json.dumps(by_hand))

    assert admin.client.post(EDIT, data=form).status_code == 303

    after = saved(client)
    assert (after["name"], after["description"]) == ("Mine", "By hand")


def test_pushes_of_both_stand_together_and_each_text_stays_with_its_push(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form = drawn(admin, **{"pushSequence.1.title": "Two, by me"})
    first, second = news["pushSequence"]
    new = {"title": "Before all", "body": "0", "layerId": 2}
    client.put(PATH, json={"pushSequence": [new, {**first, "body": "by them"}, second]})

    assert admin.client.post(EDIT, data=form).status_code == 303

    texts = [(push["title"], push["body"]) for push in saved(client)["pushSequence"]]
    assert texts == [("Before all", "0"), ("One", "by them"), ("Two, by me", "2")]


@pytest.mark.parametrize(("choice", "name"), [("mine", "Mine"), ("theirs", "Theirs")])
def test_a_field_that_both_changed_gets_the_chosen_value_and_all_else_is_kept(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], choice: str, name: str
) -> None:
    form = drawn(admin, name="Mine", **{"pushSequence.0.title": "Mine, too"})
    client.put(PATH, json={"name": "Theirs", "description": "Theirs"})

    asked = admin.client.post(EDIT, data=form)
    answer = form_values(asked.text)
    undecided = admin.client.post(EDIT, data=answer)
    decided = admin.client.post(EDIT, data={**answer, "choice.name": choice})

    assert asked.status_code == undecided.status_code == 409
    assert table_rows(asked.text)[1:] == [
        ["Name", "Mine", "Theirs"],
        ["Push 1: Title", "Mine, too", "One"],
    ]
    assert decided.status_code == 303, decided.text
    after = saved(client)
    assert (after["name"], after["description"]) == (name, "Theirs")
    assert after["pushSequence"][0]["title"] == "Mine, too"


def test_a_choice_counts_only_for_the_version_that_was_seen(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form = drawn(admin, name="Mine")
    client.put(PATH, json={"name": "Theirs"})
    answer = {**form_values(admin.client.post(EDIT, data=form).text), "all": "mine"}
    client.put(PATH, json={"name": "Theirs again"})

    asked_again = admin.client.post(EDIT, data=answer)

    assert asked_again.status_code == 409
    assert ["Name", "Mine", "Theirs again"] in table_rows(asked_again.text)
    assert saved(client)["name"] == "Theirs again"


@pytest.mark.parametrize("junk", ["", "{", "[]", "[" * 9_000, '{"version": 1}', '{"version": 9}'])
def test_a_form_that_lost_what_it_was_drawn_from_asks_about_each_difference(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], junk: str
) -> None:
    form = drawn(admin, name="Mine", drawn=junk)
    client.put(PATH, json={"description": "Theirs"})

    asked = admin.client.post(EDIT, data=form)

    assert asked.status_code == 409
    rows = table_rows(asked.text)[1:]
    assert rows == [["Name", "Mine", "News"], ["Description", "First", "Theirs"]]


def test_buttons_and_complaints_keep_what_the_form_was_drawn_from(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    form = drawn(admin, **{"pushSequence.0.title": ""})
    client.put(PATH, json={"description": "Theirs"})

    refused = admin.client.post(EDIT, data=form)
    again = {**form_values(refused.text, "editor"), "pushSequence.0.title": "Mine"}
    added = admin.client.post(EDIT, data={**again, "change": "add"})
    whole = {**form_values(added.text, "editor"), "pushSequence.2.title": "New"}
    whole["pushSequence.2.body"] = "3"

    assert refused.status_code == 400
    assert json.loads(again["drawn"][0])["description"] == "First"
    assert admin.client.post(EDIT, data=whole).status_code == 303
    after = saved(client)
    assert after["description"] == "Theirs"
    assert [push["title"] for push in after["pushSequence"]] == ["Mine", "Two", "New"]
