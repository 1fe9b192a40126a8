"""Routes about automations."""

from pathlib import Path

from flask.testing import FlaskClient

from tests.builders import a_document
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import RECIPES, create, on_disk


def test_what_is_created_is_answered_listed_read_and_in_its_file(
    client: FlaskClient, tmp_path: Path
) -> None:
    response = client.post(RECIPES, json=a_document())

    assert response.status_code == 201
    assert response.headers["ETag"] == '"1"'
    body = response.get_json()
    assert body["success"] is True
    assert (body["data"]["id"], body["data"]["version"]) == ("news", 1)
    assert body["data"]["pushSequence"][0]["id"] == "push-1"
    assert on_disk(tmp_path) == body["data"]
    read = client.get(f"{RECIPES}/news")
    assert read.headers["ETag"] == '"1"'
    assert read.get_json()["data"]["schedule"] == body["data"]["schedule"]
    assert [a["id"] for a in client.get(RECIPES).get_json()["data"]] == ["news"]


def test_one_without_an_id_gets_one(client: FlaskClient, tmp_path: Path) -> None:
    document = a_document()
    del document["id"]

    created = client.post(RECIPES, json=document).get_json()["data"]

    assert on_disk(tmp_path, created["id"])["id"] == created["id"]


def test_an_id_is_taken_once(client: FlaskClient) -> None:
    create(client)

    response = client.post(RECIPES, json=a_document(name="Another"))

    assert response.status_code == 409
    assert "already" in response.get_json()["error"]
    assert client.get(f"{RECIPES}/news").get_json()["data"]["name"] == "News"


def test_what_does_not_fit_names_every_field_and_changes_nothing(
    client: FlaskClient, tmp_path: Path
) -> None:
    create(client)
    before = on_disk(tmp_path)

    response = client.put(
        f"{RECIPES}/news",
        json={
            "schedule": {"timezone": "Mars/Base", "frequency": "daily", "executionTime": "12:30"},
            "pushSequence": [{"title": "", "body": "B", "layerId": 9}],
        },
    )

    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    problem = response.get_json()
    assert problem["success"] is False
    assert [line.partition(":")[0] for line in sorted(problem["errors"])] == [
        "pushSequence[0].layerId",
        "pushSequence[0].title",
        "schedule.timezone",
    ]
    assert on_disk(tmp_path) == before


def test_an_edit_keeps_what_it_does_not_name_and_what_nobody_knows(
    client: FlaskClient, tmp_path: Path
) -> None:
    create(client, tags=["spring"], settings={"testUserIds": ["u"], "odd": {"deep": [1]}})

    answer = client.put(f"{RECIPES}/news", json={"name": "Renamed"}).get_json()

    assert answer["data"]["version"] == 2
    saved = on_disk(tmp_path)
    assert saved["name"] == "Renamed"
    assert saved["tags"] == ["spring"]
    assert saved["settings"]["odd"] == {"deep": [1]}
    assert saved["settings"]["testUserIds"] == ["u"]


def test_a_list_can_be_emptied(client: FlaskClient, tmp_path: Path) -> None:
    create(client, settings={"testUserIds": ["u"]})

    client.put(f"{RECIPES}/news", json={"settings": {"testUserIds": []}})

    assert on_disk(tmp_path)["settings"]["testUserIds"] == []


def test_a_stale_if_match_is_412_and_a_stale_version_409(client: FlaskClient) -> None:
    create(client)
    change = {"name": "First"}
    fresh = client.put(f"{RECIPES}/news", json=change, headers={"If-Match": '"1"'})

    by_header = client.put(f"{RECIPES}/news", json={"name": "X"}, headers={"If-Match": '"1"'})
    by_body = client.put(RECIPES, json={"id": "news", "name": "X", "version": 1})
    removal = client.delete(f"{RECIPES}/news", headers={"If-Match": '"1"'})

    assert fresh.status_code == 200
    assert (by_header.status_code, by_body.status_code, removal.status_code) == (412, 409, 412)
    assert client.get(f"{RECIPES}/news").get_json()["data"]["name"] == "First"


def test_the_originals_forms_of_edit_and_delete_work(client: FlaskClient) -> None:
    create(client)

    edited = client.put(RECIPES, json={"id": "news", "name": "New"})
    without = client.put(RECIPES, json={"name": "New"})
    deleted = client.delete(f"{RECIPES}?id=news")

    assert (edited.status_code, without.status_code, deleted.status_code) == (200, 400, 200)
    assert client.get(f"{RECIPES}/news").status_code == 404


def test_what_is_not_there_is_404(client: FlaskClient) -> None:
    for answer in (
        client.get(f"{RECIPES}/none"),
        client.put(f"{RECIPES}/none", json={"name": "X"}),
        client.delete(f"{RECIPES}/none"),
        client.get(f"{RECIPES}/none/plan"),
        client.get(f"{RECIPES}/..%2F..%2Fetc"),
    ):
        assert answer.status_code == 404, answer.json


def test_a_file_whose_name_is_no_text_breaks_no_answer(
    client: FlaskClient, admin: Visitor, tmp_path: Path
) -> None:
    create(client)
    (tmp_path / "automations" / "b\udcff.json").write_text("{")

    listing = client.get(RECIPES).get_json()

    assert [one["id"] for one in listing["data"]] == ["news"]
    assert listing["broken"][0]["file"] == "b?.json"
    assert client.get("/api/health").get_json()["brokenAutomations"] == listing["broken"]
    assert "b?.json" in admin.get("/automations")
    assert admin.get("/")


def test_a_broken_file_is_listed_and_hides_nobody(client: FlaskClient, tmp_path: Path) -> None:
    create(client)
    broken = tmp_path / "automations" / "torn.json"
    broken.write_text('{"id": "torn", ')

    listing = client.get(RECIPES).get_json()
    edit = client.put(f"{RECIPES}/torn", json={"name": "X"})

    assert [a["id"] for a in listing["data"]] == ["news"]
    assert listing["broken"][0]["file"] == "torn.json"
    assert edit.status_code == 409
    assert broken.read_text() == '{"id": "torn", '
    health = client.get("/api/health").get_json()
    assert health["brokenAutomations"] == listing["broken"]


def test_a_body_that_is_no_json_says_so(client: FlaskClient) -> None:
    response = client.post(RECIPES, data="{", content_type="application/json")

    assert response.status_code == 400
    assert response.get_json()["error"]


def test_counters_come_from_executions_and_not_from_the_file(client: FlaskClient) -> None:
    create(client, metadata={"totalExecutions": 99, "owner": "Mia"}, status="active", isActive=True)

    metadata = client.get(f"{RECIPES}/news").get_json()["data"]["metadata"]

    assert (metadata["totalExecutions"], metadata["owner"]) == (0, "Mia")
    assert metadata["nextExecutionAt"]


def test_the_plan_tells_slots_with_offset_and_what_the_clocks_do(client: FlaskClient) -> None:
    create(
        client,
        schedule={
            "timezone": "Europe/Berlin",
            "frequency": "daily",
            "executionTime": "02:30",
            "startDate": "2027-03-27",
            "leadTimeMinutes": 30,
        },
    )

    slots = client.get(f"{RECIPES}/news/plan?count=3").get_json()["slots"]

    assert [slot["local"] for slot in slots] == [
        "2027-03-27T02:30:00+01:00",
        "2027-03-28T03:00:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]
    assert slots[0]["beginsAt"] == "2027-03-27T01:00:00+00:00"
    assert [bool(slot["remark"]) for slot in slots] == [False, True, False]


def test_a_list_is_narrowed_by_status(client: FlaskClient) -> None:
    create(client, id="on", status="active")
    create(client, id="off", status="draft")

    assert [a["id"] for a in client.get(f"{RECIPES}?status=active").get_json()["data"]] == ["on"]


def test_a_long_list_comes_in_pages(client: FlaskClient) -> None:
    for name in ("a", "b", "b-2", "c"):
        create(client, id=name)

    first = client.get(f"{RECIPES}?limit=3").get_json()
    second = client.get(f"{RECIPES}?limit=3&after={first['next']}").get_json()

    assert [a["id"] for a in first["data"]] == ["a", "b", "b-2"]
    assert ([a["id"] for a in second["data"]], second["next"]) == (["c"], None)
    assert first["total"] == second["total"] == 4
    assert len(client.get(RECIPES).get_json()["data"]) == 4
    assert client.get(f"{RECIPES}?limit=0").status_code == 400


def test_a_create_that_is_repeated_under_its_key_makes_one(client: FlaskClient) -> None:
    document = a_document()
    document.pop("id")
    headers = {"Idempotency-Key": "spring"}

    first = client.post("/api/automation/recipes", json=document, headers=headers)
    again = client.post("/api/automation/recipes", json=document, headers=headers)
    other = client.post("/api/automation/recipes", json=document)

    assert [r.status_code for r in (first, again, other)] == [201, 201, 201]
    made = [r.get_json()["data"]["id"] for r in (first, again, other)]
    assert made[0] == made[1] != made[2]
    assert len(client.get("/api/automation/recipes").get_json()["data"]) == 2
