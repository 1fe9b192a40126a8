"""What the original stored comes over as drafts, and the report says what became of everything."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.original.original_files import NoOriginalError
from push_blaster.cli import main
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.original.migrate_original import (
    Migration,
    MigrationOutcome,
    Target,
    look_at_original,
    migrate_original,
)
from tests.builders import NOON
from tests.push_blaster.original import an_original_automation, an_original_push, write_original


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(
        files=AutomationFiles(tmp_path / "data" / "automations"),
        scripts=ScriptFolder(tmp_path / "data" / "scripts"),
        limits=Limits(),
    )


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return tmp_path / "original"


def look(original: Path, target: Target, *contents: dict[str, Any] | str) -> list[Migration]:
    write_original(original, *contents)
    return look_at_original(original, target, NOON)


def only(migrations: list[Migration]) -> Migration:
    (migration,) = migrations
    return migration


def test_everything_comes_over_switched_off_and_the_original_stays(
    original: Path, target: Target
) -> None:
    looked_at = look(original, target, an_original_automation(), an_original_push())

    done = migrate_original(looked_at, target)

    documents = {document["id"]: document for document in target.files.list_all().documents}
    assert [m.outcome for m in done] == [MigrationOutcome.MIGRATED, MigrationOutcome.MIGRATED]
    assert sorted(documents) == ["a1", "migrated_p1"]
    for document in documents.values():
        assert (document["status"], document["isActive"]) == ("draft", False)
        assert not read_automation(document).is_scheduled
    assert documents["a1"]["settings"]["safeguards"]["blockOverlapHours"] == 4
    assert documents["a1"]["createdAt"] == "2025-08-12T10:00:00.000Z"
    assert documents["migrated_p1"]["type"] == "single_push"
    assert documents["migrated_p1"]["pushSequence"][0]["title"] == "A walk?"
    assert json.loads((original / ".automations" / "a1.json").read_text())["status"] == "active"


def test_a_second_migration_changes_nothing(original: Path, target: Target) -> None:
    migrate_original(look(original, target, an_original_automation(), an_original_push()), target)
    edited = {**target.files.load("a1"), "name": "Edited here", "version": 2}
    target.files.replace(edited, expected_version=1)

    again = migrate_original(look_at_original(original, target, NOON), target)

    assert [m.outcome for m in again] == [MigrationOutcome.PRESENT, MigrationOutcome.PRESENT]
    assert "stays as it is" in str(again[0].reason)
    assert target.files.load("a1")["name"] == "Edited here"


def test_a_look_writes_nothing(original: Path, target: Target) -> None:
    looked_at = look(original, target, an_original_automation())

    assert only(looked_at).outcome is MigrationOutcome.AVAILABLE
    assert target.files.list_all().documents == ()


def test_two_files_of_one_id_make_one_automation(original: Path, target: Target) -> None:
    write_original(original, an_original_automation())
    (original / ".automations" / "copy.json").write_text(json.dumps(an_original_automation()))

    looked_at = look_at_original(original, target, NOON)

    assert [m.outcome for m in looked_at] == [MigrationOutcome.AVAILABLE, MigrationOutcome.PRESENT]


def test_what_is_different_here_is_told(original: Path, target: Target) -> None:
    told = "\n".join(only(look(original, target, an_original_automation())).findings)

    for finding in (
        "It was 'active' and comes as a draft.",
        "sent 25 minutes before 12:30; here the live send is at 12:30",
        "sent always on Mondays; here it is the day of startDate",
        "startDate 2025-08-13T00:00:00.000Z is an instant",
        "Push 1 has no id",
        "Push 1: not used here: timing.sendTime",
        "Push 2: delayAfterPrevious is waited for",
        "Push 1 names no audience (audienceName 'default'); by its place the original took "
        "recent_offer_creators",
        "Push 2 names no audience (audienceName 'default'); by its place the original took "
        "recent_closet_adders",
        "There is no audience script 'generate_layer_3_push_csvs'",
        "no test user is named",
    ):
        assert finding in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": {"frequency": "custom", "cronExpression": "0 9 * * 1"}}, "cronExpression"),
        (
            {
                "schedule": {
                    "frequency": "once",
                    "scheduledDate": "2031-01-01",
                    "scheduledTime": "9:00",
                }
            },
            "read as startDate and executionTime",
        ),
        ({"audienceCriteria": {"customQuery": "SELECT 1"}}, "customQuery is kept and never run"),
        ({"audienceCriteria": {}}, "there is no audience"),
        (
            {"audienceCriteria": {"customScript": {"scriptId": "s"}, "manualUserIds": ["u"]}},
            "manualUserIds are left out",
        ),
        ({"settings": {"testUserIds": ["u"]}}, "settings.testUserIds get the tests"),
        (
            {"pushSequence": [{"title": "T", "body": "B", "layerId": 0, "audienceName": "TEST"}]},
            "on layer 0, which has been layer 5",
        ),
        (
            {"pushSequence": [{"title": "T", "body": "B", "audienceName": "other"}]},
            "Push 1 goes to 'other'; by its place the original took recent_offer_creators",
        ),
    ],
)
def test_oddities_of_automations_come_over_and_are_told(
    original: Path, target: Target, changes: dict[str, Any], said: str
) -> None:
    migration = only(look(original, target, an_original_automation(**changes)))

    assert migration.outcome is MigrationOutcome.AVAILABLE, migration.reason
    assert said in "\n".join(migration.findings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no readable JSON"),
        ("[]", "no JSON object"),
        (an_original_automation(name="TEST SCHEDULED: walk"), "a scheduled test left behind"),
        (an_original_automation(settings={"isTest": True}), "a scheduled test left behind"),
        (an_original_automation(pushSequence=[]), "A sequence has 1 to 20 pushes"),
        (an_original_automation(id="a b"), "id: Use letters"),
        (an_original_automation(status=["odd"], metadata=7, name=[]), "name: Not a valid string"),
        (an_original_push(status="sent"), "nothing left to send"),
        (an_original_push(status="cancelled"), "nothing left to send"),
        (an_original_push(title=None), "title is missing"),
        (an_original_push(scheduledFor="soon"), "'soon', no instant"),
        (an_original_push(scheduledFor="0001-01-01T00:00:00+14:00"), "no instant"),
        (an_original_push(audienceCriteria=[1]), "audienceCriteria is no JSON object"),
        (
            an_original_push(audienceCriteria={"manualUserIds": 7}),
            "manualUserIds: Not a valid list",
        ),
    ],
)
def test_what_cannot_come_over_says_why_and_hinders_nothing_else(
    original: Path, target: Target, content: dict[str, Any] | str, said: str
) -> None:
    looked_at = look(original, target, content, an_original_push(id="good"))

    assert {m.file.id: m.outcome for m in looked_at}["good"] is MigrationOutcome.AVAILABLE
    (reason,) = [m.reason for m in looked_at if m.outcome is MigrationOutcome.SKIPPED]
    assert said in str(reason)


def test_pushes_tell_of_their_instant_and_their_audience(original: Path, target: Target) -> None:
    past = an_original_push(id="past", scheduledFor="2025-07-02T16:00:00")
    filters = an_original_push(id="filters", audienceCriteria={"filters": {"minTrades": 3}})
    odd = an_original_push(id="odd", audienceCriteria={"manualUserIds": ["founder"]})

    told = {m.file.id: "\n".join(m.findings) for m in look(original, target, past, filters, odd)}

    assert "has no offset; it is read as UTC" in told["past"]
    assert "Nothing is left to send" in told["past"]
    assert "gets layer 1" in told["past"]
    assert "the script for filters (PUSH_FILTER_SCRIPT)" in told["filters"]
    assert "1 of its 1 manualUserIds are no user ids: ['founder']" in told["odd"]


def test_a_folder_without_the_original_is_refused(tmp_path: Path, target: Target) -> None:
    with pytest.raises(NoOriginalError, match=r"neither .automations nor .scheduled-pushes"):
        look_at_original(tmp_path, target, NOON)


def test_the_command_reports_and_a_dry_run_writes_nothing(
    original: Path, tmp_path: Path, push_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_original(original, an_original_automation(), an_original_push(status="sent"))
    (original / ".push-logs").mkdir()
    (original / ".push-logs" / "job.json").write_text("{}")
    for name, value in {
        "PUSH_BLASTER_DATABASE_URL": push_url,
        "PUSH_DATA_DIR": str(tmp_path / "data"),
        "CADENCE_API_TOKEN": "token-of-the-tests",
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> str:
        result = CliRunner().invoke(main, ["migrate-original", str(original), *options])
        assert result.exit_code == 0, result.output
        return result.output

    dry = run("--dry-run")
    assert "1 available, 0 migrated, 0 present, 1 skipped." in dry
    assert list((tmp_path / "data" / "automations").glob("*.json")) == []
    assert "0 available, 1 migrated, 0 present, 1 skipped." in run()
    again = run()
    assert "0 available, 0 migrated, 1 present, 1 skipped." in again
    assert "1 pushLogs stay where they are." in again
    nothing = CliRunner().invoke(main, ["migrate-original", str(tmp_path)])
    assert nothing.exit_code == 1
    assert "neither .automations nor" in nothing.output
