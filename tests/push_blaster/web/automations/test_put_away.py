"""Duplicate, archive, delete and save as template, by API and pages, each with its way back."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.people import ALICE
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import RECIPES, create, on_disk

NEWS = f"{RECIPES}/news"


@pytest.fixture
def news(client: FlaskClient) -> dict[str, Any]:
    return create(client, name="News", status="active", isActive=True, colour="green")


def names(client: FlaskClient, query: str = "") -> list[str]:
    return [one["name"] for one in client.get(f"{RECIPES}{query}").get_json()["data"]]


def test_a_duplicate_is_a_draft_of_its_own(
    client: FlaskClient, news: dict[str, Any], tmp_path: Path
) -> None:
    answer = client.post(f"{NEWS}/duplicate")
    named = client.post(f"{NEWS}/duplicate", json={"id": "spring", "name": "Spring"})

    copy = answer.get_json()["data"]
    assert (answer.status_code, named.status_code) == (201, 201)
    assert copy["id"] not in {"news", "spring"}
    assert (copy["name"], copy["status"], copy["isActive"]) == ("Copy of News", "draft", False)
    assert (copy["version"], copy["colour"]) == (1, "green")
    assert "activatedAt" not in copy
    assert copy["metadata"]["duplicateOf"] == "news"
    assert on_disk(tmp_path, "spring")["name"] == "Spring"
    assert client.post(f"{NEWS}/duplicate", json={"id": "spring"}).status_code == 409


def test_the_same_key_duplicates_once(client: FlaskClient, news: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "twice"}

    first, again = (client.post(f"{NEWS}/duplicate", headers=headers).get_json() for _ in range(2))

    assert first["data"]["id"] == again["data"]["id"]
    assert sorted(names(client)) == ["Copy of News", "News"]


def test_a_long_name_leaves_room_for_the_words_before_it(client: FlaskClient) -> None:
    create(client, name="x" * 255)

    copy = client.post(f"{NEWS}/duplicate").get_json()["data"]

    assert len(copy["name"]) == 255


def test_the_button_sent_twice_opens_the_same_draft_and_schedules_it(
    admin: Visitor, client: FlaskClient, tmp_path: Path
) -> None:
    testers = {"testUserIds": [str(ALICE)]}
    audience = {"manualUserIds": [str(ALICE)]}
    create(client, settings=testers, audienceCriteria=audience)
    once = re.search(r'name="once" value="([^"]+)"', admin.get("/automations"))
    assert once

    first, again = (admin.post("/automations/news/duplicate", once=once[1]) for _ in range(2))
    saved = admin.save(first.location, then="schedule")

    assert first.status_code == 303
    assert first.location == again.location
    assert saved.status_code == 303, saved.text
    copy = on_disk(tmp_path, first.location.split("/")[2])
    assert (copy["name"], copy["status"], copy["isActive"]) == ("Copy of News", "active", True)
    assert len(names(client)) == 2


def test_the_archive_takes_it_out_of_the_lists_and_of_use(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    answer = client.post(f"{NEWS}/archive", headers={"If-Match": '"1"'})
    again = client.post(f"{NEWS}/archive")

    assert (answer.status_code, again.status_code) == (200, 200)
    assert again.get_json()["data"]["version"] == 2
    assert names(client) == []
    assert names(client, "?archived=true") == ["News"]
    assert "News" not in table_of(admin.get("/automations"))
    assert "News" not in table_of(admin.get("/automations?show=paused"))
    assert "News" in table_of(admin.get("/automations?show=archived"))
    page = admin.get("/automations/news")
    assert "Take out of the archive" in page
    assert "/automations/news/run" not in page
    run = client.post("/api/executions", json={"automationId": "news"})
    resume = client.post(
        "/api/automation/control", json={"automationId": "news", "action": "resume"}
    )
    assert [run.status_code, resume.status_code] == [409, 409]
    assert "is archived" in run.get_json()["detail"]


def table_of(page: str) -> str:
    return page.partition("<main")[2]


@pytest.mark.parametrize("action", ["archive", "delete"])
def test_what_the_page_puts_away_comes_back_by_the_undo_of_its_message(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], tmp_path: Path, action: str
) -> None:
    client.put(f"{NEWS}?acceptFindings=true", json={"audienceCriteria": {"manualUserIds": []}})
    before = on_disk(tmp_path)
    assert f"{action.capitalize()} this automation?" in admin.get(f"/automations/news/{action}")
    admin.post(f"/automations/news/{action}")
    page = admin.get("/automations")
    form = re.search(r'<form[^>]*with-undo[^>]*action="([^"]+)"(.*?)</form>', page, re.DOTALL)
    assert form
    fields = dict(re.findall(r'name="(\w+)"\s+value="([^"]*)"', form[2]))

    undone = admin.client.post(form[1], data=fields)

    if action == "archive":  # it would surely fail, so it does not come back as active
        assert undone.status_code == 409
        assert client.post(f"{NEWS}/unarchive").status_code == 200
        return
    assert undone.status_code == 303, undone.text
    after = on_disk(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"version", "updatedAt"}
    assert client.post(f"{NEWS}/undo-delete").status_code == 200


def test_deleted_ones_are_on_a_page_with_a_way_back(
    admin: Visitor, viewer: Visitor, client: FlaskClient, news: dict[str, Any], tmp_path: Path
) -> None:
    first, again = (admin.post("/automations/news/delete") for _ in range(2))
    assert first.status_code == again.status_code == 303

    (deleted,) = client.get("/api/automation/deleted").get_json()["deleted"]
    shown = viewer.get("/deleted-automations")
    versions = viewer.get("/automations/news/versions")
    brought = admin.post("/automations/news/undo-delete")

    assert (deleted["automationId"], deleted["name"], deleted["author"]) == (
        "news",
        "News",
        "admin",
    )
    assert "News" in table_of(shown)
    assert "Bring back" not in shown
    assert "This automation is deleted." in versions
    assert brought.status_code == 303
    assert on_disk(tmp_path)["status"] == "active"
    assert client.get("/api/automation/deleted").get_json()["deleted"] == []


def test_an_undo_is_refused_in_words_while_another_one_has_the_id(
    admin: Visitor, client: FlaskClient, news: dict[str, Any], tmp_path: Path
) -> None:
    client.delete(NEWS)
    create(client, name="Another")

    by_api = client.post(f"{NEWS}/undo-delete")
    by_page = admin.post("/automations/news/undo-delete")

    assert (by_api.status_code, by_page.status_code) == (409, 409)
    assert "another automation uses this id now" in by_api.get_json()["detail"]
    assert "another automation uses this id now" in by_page.text
    assert on_disk(tmp_path)["name"] == "Another"
    assert client.post(f"{RECIPES}/nobody/undo-delete").status_code == 404


def test_an_automation_is_saved_as_a_template_once(
    admin: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    path = "/automations/news/save-as-template"
    once = re.search(r'name="once" value="([^"]+)"', admin.get(path))
    assert once

    saved = [admin.post(path, once=once[1], name="Weekly news") for _ in range(2)]
    refused = admin.post(path, once="other", name="x" * 300)

    assert [one.status_code for one in saved] == [303, 303]
    assert saved[0].location == saved[1].location
    assert "Weekly news" in admin.get(saved[0].location)
    assert refused.status_code == 400
    assert 'id="name-said"' in refused.text


def test_only_an_admin_puts_away(operator: Visitor, news: dict[str, Any]) -> None:
    for action in ("duplicate", "archive", "unarchive", "delete", "undo-delete"):
        assert operator.post(f"/automations/news/{action}").status_code == 403
    page = operator.get("/automations/news")
    assert "Duplicate" not in page
    assert "Delete" not in page.partition("<main")[2].partition("</main")[0]
