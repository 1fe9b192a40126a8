"""Bringing over what the original stored, over HTTP."""

from pathlib import Path

from flask.testing import FlaskClient

from tests.push_blaster.original import an_original_automation, an_original_push, write_original
from tests.push_blaster.web.recipes import RECIPES as RECIPES

PATH = "/api/automation/migrate"


def test_without_the_original_there_is_nothing_and_the_answer_says_where_to_put_it(
    client: FlaskClient, data_link: Path
) -> None:
    answer = client.get(PATH)

    assert answer.status_code == 404
    assert str(data_link / "original") in answer.get_json()["error"]


def test_what_lies_there_is_told_and_then_brought_over(client: FlaskClient, tmp_path: Path) -> None:
    write_original(
        tmp_path / "original",
        an_original_automation(),
        an_original_push(),
        an_original_push(id="p2", status="sent"),
    )

    looked = client.get(PATH).get_json()["data"]
    dry = client.post(PATH, json={"migrateAll": True, "dryRun": True}).get_json()
    named = client.post(PATH, json={"scheduledPushIds": ["p1", "p2"]}).get_json()["data"]
    rest = client.post(PATH, json={"migrateAll": True}).get_json()["data"]

    assert looked["counts"] == {
        "scheduledPushes": 2,
        "automations": 1,
        "available": 2,
        "present": 0,
        "skipped": 1,
        "pushLogs": 0,
        "executionRecords": 0,
    }
    assert looked["migrationStatus"] == {"canMigrate": True, "recommendMigration": True}
    assert [m["automationId"] for m in looked["availableForMigration"]] == ["a1", "migrated_p1"]
    assert dry["message"] == "2 would be migrated as drafts, 1 skipped."
    assert dry["data"]["automations"][0]["settings"]["safeguards"]["blockOverlapHours"] == 4
    assert (named["migratedCount"], named["skippedCount"]) == (1, 1)
    (made,) = named["migrations"]
    assert (made["scheduledPushId"], made["automationId"]) == ("p1", "migrated_p1")
    assert made["preserveOriginal"] is True
    assert [m["automationId"] for m in rest["migrations"]] == ["a1"]
    assert {m["outcome"] for m in rest["skipped"]} == {"present", "skipped"}
    assert [d["id"] for d in client.get(RECIPES).get_json()["data"]] == ["a1", "migrated_p1"]
    after = client.get(PATH).get_json()["data"]
    assert after["migrationStatus"]["canMigrate"] is False


def test_a_migrated_push_is_scheduled_by_its_status(client: FlaskClient, tmp_path: Path) -> None:
    write_original(tmp_path / "original", an_original_push())
    client.post(PATH, json={"migrateAll": True})
    one = "/api/scheduled-pushes/migrated_p1"

    before = client.get(one).get_json()["scheduledPush"]
    after = client.put(one, json={"status": "scheduled"}).get_json()["scheduledPush"]

    assert (before["status"], before["layerId"]) == ("cancelled", 1)
    assert (after["status"], after["scheduledFor"]) == ("scheduled", "2031-07-02T16:00:00+00:00")


def test_a_migration_names_what_is_wanted(client: FlaskClient, tmp_path: Path) -> None:
    write_original(tmp_path / "original", an_original_push())

    nothing = client.post(PATH, json={})
    unknown = client.post(PATH, json={"scheduledPushIds": ["p1", "none"]})

    assert (nothing.status_code, unknown.status_code) == (400, 400)
    assert "Name some, or set migrateAll" in nothing.get_json()["error"]
    assert "none of the id 'none'" in unknown.get_json()["error"]
    assert client.get(RECIPES).get_json()["data"] == []
