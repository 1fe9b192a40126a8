"""The versions of an automation by API and pages: listed, compared, restored."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from push_blaster.adapters.automations.json_files import write_json
from push_blaster.adapters.automations.version_table import NewVersion, insert_version
from push_blaster.domain.automations.version import VersionKind
from tests.builders import NOON
from tests.page_reader import form_values, table_rows
from tests.push_blaster.web.execution_support import CONTROL, DAILY, phase, started
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import RECIPES, create, on_disk

VERSIONS = f"{RECIPES}/news/versions"


@pytest.fixture
def news(client: FlaskClient) -> dict[str, Any]:
    return create(client, colour="green")


def listed(client: FlaskClient, path: str = VERSIONS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(path).get_json()["versions"]
    return found


def test_saves_by_api_form_and_control_are_listed_with_their_authors(
    client: FlaskClient, admin: Visitor, news: dict[str, Any]
) -> None:
    client.put(f"{RECIPES}/news?acceptFindings=true", json={"status": "active", "isActive": True})
    admin.save("/automations/news/edit", name="Newer")
    control = {"automationId": "news", "action": "pause", "reason": "It rains."}
    client.post("/api/automation/control", json=control)

    told = [
        (one["version"], one["kind"], one["author"], one["reason"], one["changed"])
        for one in listed(client)
    ]
    assert told == [
        (4, "saved", "admin", "It rains.", ["status"]),
        (3, "saved", "admin", None, ["name"]),
        (2, "saved", "admin", None, ["status", "isActive"]),
        (1, "created", "admin", None, []),
    ]
    page = admin.get("/automations/news/versions")
    assert [row[3:] for row in table_rows(page)[1:3]] == [
        ["It rains.", "Status"],
        ["Saved", "Name"],
    ]


def test_two_versions_are_compared_in_the_words_of_the_form(
    client: FlaskClient, viewer: Visitor, news: dict[str, Any]
) -> None:
    push = {**news["pushSequence"][0], "title": "Better"}
    client.put(f"{RECIPES}/news", json={"pushSequence": [push], "name": "Newer"})
    client.put(f"{RECIPES}/news", json={"name": "Newest"})
    third, second, first = (one["id"] for one in listed(client))

    now = client.get(f"{VERSIONS}/{first}/differences").get_json()["differences"]
    one_step = client.get(f"{VERSIONS}/{first}/differences?with={second}").get_json()

    name = {"path": "name", "field": "Name", "before": "News", "after": "Newest"}
    title = {"path": "pushSequence.0.title", "field": "Push 1: Title"}
    assert now == [name, title | {"before": push_title(news), "after": "Better"}]
    assert one_step["differences"][0]["after"] == "Newer"
    page = f"/automations/news/versions/{third}"
    assert ["Name", "Newer", "Newest"] in table_rows(viewer.get(f"{page}?against=before"))
    shown = viewer.get(f"/automations/news/versions/{first}")
    assert ["Push 1: Title", push_title(news), "Better"] in table_rows(shown)
    assert "Restore version" not in shown


def push_title(document: dict[str, Any]) -> str:
    title: str = document["pushSequence"][0]["title"]
    return title


def test_a_restore_brings_the_whole_content_back_as_a_new_version(
    client: FlaskClient, news: dict[str, Any], tmp_path: Path
) -> None:
    (first,) = listed(client)
    client.put(f"{RECIPES}/news", json={"name": "Newer", "added": "later", "status": "paused"})

    answer = client.post(f"{VERSIONS}/{first['id']}/restore")
    again = client.post(f"{VERSIONS}/{first['id']}/restore")

    restored = on_disk(tmp_path)
    assert (answer.status_code, again.status_code) == (200, 200)
    assert answer.headers["ETag"] == again.headers["ETag"] == '"3"'
    assert (restored["name"], restored["colour"], restored["version"]) == ("News", "green", 3)
    assert "added" not in restored
    assert restored["status"] == "paused", "a restore does not switch on or off"
    assert restored["createdAt"] == news["createdAt"]
    assert listed(client)[0]["reason"].startswith("Restored from version 1 of 20")


def test_a_restore_by_an_old_etag_or_an_old_page_overwrites_nobody(
    client: FlaskClient, admin: Visitor, news: dict[str, Any], tmp_path: Path
) -> None:
    (first,) = listed(client)
    client.put(f"{RECIPES}/news", json={"name": "Newer"})
    page = f"/automations/news/versions/{first['id']}"
    form: dict[str, Any] = form_values(admin.get(page))
    client.put(f"{RECIPES}/news", json={"name": "Theirs"})

    by_api = client.post(f"{VERSIONS}/{first['id']}/restore", headers={"If-Match": '"2"'})
    by_page = admin.client.post(f"{page}/restore", data=form)

    assert (by_api.status_code, by_page.status_code) == (412, 409)
    assert "somebody saved the automation meanwhile" in by_page.text
    assert ["Name", "News", "Theirs"] in table_rows(by_page.text)
    assert on_disk(tmp_path)["name"] == "Theirs"
    assert admin.client.post(f"{page}/restore", data=form_values(by_page.text)).status_code == 303
    assert on_disk(tmp_path)["name"] == "News"


TORN = '{"id": "news", "name": "Half'


@pytest.mark.parametrize("by", ["api", "page"])
@pytest.mark.parametrize(
    "text",
    [TORN, "", "[]", '{"id": "other"}', "\0\0", '{"id": "news", "schedule": 1}'],
)
def test_a_version_is_restored_over_a_file_that_cannot_be_read_and_the_file_is_kept(
    client: FlaskClient, admin: Visitor, news: dict[str, Any], tmp_path: Path, by: str, text: str
) -> None:
    folder = tmp_path / "automations"
    (first,) = listed(client)
    (folder / "news.json").write_text(text)
    led = admin.client.get("/automations/news")
    page = f"/automations/news/versions/{first['id']}"
    form: dict[str, Any] = form_values(admin.get(page))

    if by == "api":
        assert client.post(f"{VERSIONS}/{first['id']}/restore").status_code == 200
    else:
        assert admin.client.post(f"{page}/restore", data=form).status_code == 303

    assert led.location == "/automations/news/versions"
    assert (on_disk(tmp_path)["name"], on_disk(tmp_path)["colour"]) == ("News", "green")
    assert on_disk(tmp_path)["version"] == 2
    assert (folder / "news.json.broken-1").read_text() == text
    newest, before = listed(client)
    assert newest["reason"].endswith("What could not be read is kept as news.json.broken-1.")
    assert (newest["kind"], newest["author"], before["kind"]) == ("saved", "admin", "created")
    assert admin.client.get("/automations/news").status_code == 200


def test_what_was_on_before_its_file_broke_comes_back_paused_and_can_be_resumed(
    client: FlaskClient, admin: Visitor, tmp_path: Path
) -> None:
    create(client, status="active", isActive=True, schedule=DAILY)
    waiting = started(client)
    (first,) = listed(client)
    for number in (1, 2):
        (tmp_path / "automations" / "news.json").write_text(f"broken for the time {number}")
        assert client.post(f"{VERSIONS}/{first['id']}/restore").status_code == 200

    assert on_disk(tmp_path)["status"] == "paused"
    assert phase(client, waiting) == "cancelled"
    assert len(list((tmp_path / "automations").glob("news.json.broken-*"))) == 2
    resumed = client.post(CONTROL, json={"automationId": "news", "action": "resume"})
    assert resumed.status_code == 200


def test_the_page_of_a_broken_file_says_so_and_leads_to_its_versions(
    client: FlaskClient, admin: Visitor, viewer: Visitor, news: dict[str, Any], tmp_path: Path
) -> None:
    (first,) = listed(client)
    folder = tmp_path / "automations"
    (folder / "news.json").write_text(TORN)
    (folder / "never seen.json").write_text(TORN)
    (folder / "unseen.json").write_text(TORN)

    page = admin.get("/automations/news/versions")

    assert "cannot be read, so it sends nothing" in page
    assert "is deleted" not in page
    assert 'href="/automations/news/versions"' in admin.get("/automations")
    assert "Restore version 1" not in viewer.get(f"/automations/news/versions/{first['id']}")
    assert "No version yet" in admin.get("/automations/unseen/versions")


def test_an_automation_that_is_on_takes_no_version_that_surely_fails(
    client: FlaskClient, admin: Visitor, news: dict[str, Any], tmp_path: Path
) -> None:
    criteria = {"manualUserIds": ["cbf27734-ac10-4525-8b66-402800e03d2c"]}
    client.put(f"{RECIPES}/news", json={"audienceCriteria": {}})
    without = listed(client)[0]["id"]
    good = {"audienceCriteria": criteria, "status": "active", "isActive": True}
    client.put(f"{RECIPES}/news?acceptFindings=true", json=good)

    refused = client.post(f"{VERSIONS}/{without}/restore")
    page = admin.post(f"/automations/news/versions/{without}/restore", version="3")

    assert refused.status_code == page.status_code == 409, page.text
    assert refused.get_json()["details"]["findings"]
    assert "Pause the automation first" in page.text
    assert on_disk(tmp_path)["audienceCriteria"] == criteria
    insisted = client.post(f"{VERSIONS}/{without}/restore?acceptFindings=true")
    assert insisted.status_code == 200
    assert on_disk(tmp_path)["isActive"] is True


def test_a_version_that_does_not_fit_any_more_says_why(
    client: FlaskClient, admin: Visitor, news: dict[str, Any], tmp_path: Path, database: Database
) -> None:
    older = {**on_disk(tmp_path), "pushSequence": []}
    with database.transaction() as connection:
        new = NewVersion(kind=VersionKind.SAVED, document=older, saved_at=NOON)
        insert_version(connection, new)
    client.put(f"{RECIPES}/news", json={"name": "Newer"})
    bad = next(one["id"] for one in listed(client) if "2026-11-24" in one["savedAt"])

    by_api = client.post(f"{VERSIONS}/{bad}/restore")
    by_page = admin.post(f"/automations/news/versions/{bad}/restore", version="2")

    assert by_api.status_code == by_page.status_code == 400
    assert "does not fit the fields of today" in by_page.text
    assert "pushSequence" in by_page.text


def test_an_edit_in_the_file_is_told_apart_from_a_save(
    client: FlaskClient, viewer: Visitor, news: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "automations" / "news.json"
    write_json(path, {**on_disk(tmp_path), "name": "By hand"})
    client.put(f"{RECIPES}/news", json={"name": "By API"})

    told = [(one["version"], one["kind"], one["author"]) for one in listed(client)]

    assert told == [(2, "saved", "admin"), (1, "found", None), (1, "created", "admin")]
    assert "Edited in its file" in viewer.get("/automations/news/versions")


@pytest.mark.parametrize("path", ["/999", "/999/differences", "/99999999999999999999"])
def test_a_version_of_another_or_of_nobody_is_not_found(
    client: FlaskClient, viewer: Visitor, news: dict[str, Any], path: str
) -> None:
    create(client, id="other")
    theirs = listed(client, f"{RECIPES}/other/versions")[0]["id"]

    assert client.get(f"{VERSIONS}{path}").status_code in {400, 404}
    assert client.get(f"{VERSIONS}/{theirs}").status_code == 404
    assert client.get(f"{RECIPES}/nobody/versions").status_code == 404
    assert viewer.client.get(f"/automations/news/versions/{theirs}").status_code == 404
    assert viewer.client.get("/automations/nobody/versions").status_code == 404


def test_only_an_admin_restores(
    operator: Visitor, client: FlaskClient, news: dict[str, Any]
) -> None:
    (first,) = listed(client)

    refused = operator.post(f"/automations/news/versions/{first['id']}/restore", version="1")

    assert refused.status_code == 403


def test_a_version_is_read_whole(client: FlaskClient, news: dict[str, Any]) -> None:
    (first,) = listed(client)

    read = client.get(f"{VERSIONS}/{first['id']}").get_json()

    assert read["document"] == news
    assert re.fullmatch(r"20\d\d-.*", read["savedAt"])
