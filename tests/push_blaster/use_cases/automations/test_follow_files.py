"""Files that are changed by hand: once one is switched off, what waits for it is cancelled."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.json_files import write_json
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.automations.follow_files import GONE_FOR, OFF_FOR, FileFollower
from tests.builders import NOON
from tests.push_blaster.bench import Bench, an_automation_document

Change = Callable[[AutomationFiles], None]

SECOND = timedelta(seconds=1)
SCHEDULE = {
    "timezone": "UTC",
    "frequency": "daily",
    "executionTime": "12:20",
    "leadTimeMinutes": 20,
    "startDate": "2026-11-24",
}


@pytest.fixture
def files(bench: Bench) -> AutomationFiles:
    return AutomationFiles(bench.folder / "automations")


@pytest.fixture
def waiting(bench: Bench, files: AutomationFiles) -> str:
    """An execution that the schedule opened; another automation's file is there, too."""
    save(files)
    save(files, id="other", schedule={**SCHEDULE, "executionTime": "20:00"})
    (execution_id,) = bench.tick(*files.list_all().documents)
    return execution_id


def save(files: AutomationFiles, **changes: Any) -> None:
    """Write the file as somebody does who knows nothing of us."""
    document = an_automation_document(schedule=SCHEDULE, updatedAt=NOON.isoformat())
    whole = complete_document({**document, **changes})
    write_json(files.folder / f"{whole['id']}.json", whole)


def switch_off(files: AutomationFiles) -> None:
    save(files, isActive=False)


def pause(files: AutomationFiles) -> None:
    save(files, status="paused")


def remove(files: AutomationFiles) -> None:
    (files.folder / "news.json").unlink()


def look(bench: Bench, follower: FileFollower, *after: timedelta) -> list[str]:
    """Look now and after so long each; return all that was cancelled."""
    cancelled = []
    for time in (timedelta(0), *after):
        at = bench.now + time
        follower.uptime = at.timestamp
        cancelled += follower.look(at)
    return cancelled


@pytest.mark.parametrize(
    ("change", "patience", "said"),
    [
        (switch_off, OFF_FOR, "switched off in its file"),
        (pause, OFF_FOR, "(status 'paused')"),
        (remove, GONE_FOR, "file was removed"),
    ],
    ids=["inactive", "paused", "removed"],
)
def test_what_waits_is_cancelled_once_the_file_has_said_so_for_a_while(
    bench: Bench,
    files: AutomationFiles,
    waiting: str,
    change: Change,
    patience: timedelta,
    said: str,
) -> None:
    follower = FileFollower(files, bench.database)
    change(files)

    assert look(bench, follower, patience - SECOND) == []
    assert look(bench, follower, patience) == [waiting]

    execution = bench.execution(waiting)
    assert execution.phase is Phase.CANCELLED
    assert said in (execution.reason or "")
    assert said in bench.log(waiting)
    assert look(bench, follower, 2 * patience) == []


def test_an_engine_that_starts_later_finds_it_too(
    bench: Bench, files: AutomationFiles, waiting: str
) -> None:
    switch_off(files)

    assert look(bench, FileFollower(files, bench.database), OFF_FOR) == [waiting]


@pytest.mark.parametrize(
    ("change", "patience"), [(switch_off, OFF_FOR), (remove, GONE_FOR)], ids=["off", "removed"]
)
def test_who_takes_it_back_in_time_loses_nothing(
    bench: Bench, files: AutomationFiles, waiting: str, change: Change, patience: timedelta
) -> None:
    follower = FileFollower(files, bench.database)
    for _ in range(2):
        change(files)
        assert look(bench, follower, patience - SECOND) == []
        save(files)
        assert look(bench, follower, patience) == []
        bench.now += patience

    assert bench.execution(waiting).phase is Phase.WAITING


def test_a_broken_file_and_an_empty_folder_cancel_nothing(
    bench: Bench, files: AutomationFiles, waiting: str
) -> None:
    follower = FileFollower(files, bench.database)
    (files.folder / "news.json").write_text('{"id": "news", "isActi')
    assert look(bench, follower, GONE_FOR, 2 * GONE_FOR) == []

    for path in files.folder.glob("*.json"):
        path.unlink()
    assert look(bench, follower, GONE_FOR, 2 * GONE_FOR) == []

    assert bench.execution(waiting).phase is Phase.WAITING


def test_what_somebody_starts_of_an_automation_that_is_off_goes_on(
    bench: Bench, files: AutomationFiles
) -> None:
    switch_off(files)
    by_hand = bench.start()

    assert look(bench, FileFollower(files, bench.database), GONE_FOR) == []
    assert bench.execution(by_hand).phase is Phase.WAITING
