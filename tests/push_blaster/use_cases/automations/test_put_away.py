"""Archive and delete with a way back: nothing runs meanwhile, and what comes back is the same."""

from datetime import timedelta

import pytest

from chassis.postgres import Database, DatabaseAwayError
from push_blaster.adapters.automations.json_files import write_json
from push_blaster.adapters.operations.emergency_stops import insert_emergency_stop
from push_blaster.adapters.schedule.schedule_marks import select_generations
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.automations.change_automation import delete_automation
from push_blaster.use_cases.automations.put_away import (
    IdTakenError,
    NotDeletedError,
    archive,
    unarchive,
    undo_delete,
)
from push_blaster.use_cases.executions.start_execution import (
    ArchivedError,
    StartRequest,
    start_automation,
)
from push_blaster.use_cases.executions.stop_execution import cancel_execution
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.use_cases.schedule.garden import MINUTE, NEWS, Garden

DAY = timedelta(days=1)
TOMORROW = "news@20261125T123000Z"


def undo(garden: Garden) -> None:
    undo_delete(garden.files, garden.bench.database, "news", garden.bench.now)


def put_into_archive(garden: Garden) -> None:
    archive(garden.files, garden.bench.database, "news", None, garden.bench.now)


def take_out(garden: Garden, *, resume: bool) -> None:
    judge = (lambda _: None) if resume else None
    unarchive(garden.files, garden.bench.database, "news", None, judge, garden.bench.now)


def test_a_deletion_that_is_undone_in_time_sends_at_its_time(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    garden.delete()
    garden.at(7)
    undo(garden)

    assert garden.tick() == []
    assert garden.phase() is Phase.WAITING
    assert bench.run(NEWS).phase is Phase.COMPLETED
    assert len(messages(bench)) == 10


def test_it_has_the_generation_and_the_slots_of_before(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    bench.run(NEWS)
    garden.delete()
    undo(garden)
    garden.tick()

    bench.now += DAY

    assert garden.tick() == [TOMORROW]
    assert [one.id for one in bench.executions()] == [NEWS, TOMORROW]


def test_an_undo_after_the_send_time_sends_nothing_late(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    garden.delete()
    garden.at(-5)
    undo(garden)

    assert garden.tick() == []
    assert garden.phase() is Phase.CANCELLED


def test_what_a_person_cancelled_stays_cancelled(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    cancel_execution(bench.database, NEWS, "The text is wrong.", bench.now)
    garden.delete()
    undo(garden)
    garden.tick()

    assert garden.phase() is Phase.CANCELLED


def test_an_undo_is_refused_while_another_one_has_the_id_and_takes_nothing_from_it(
    bench: Bench,
) -> None:
    garden = Garden(bench, createdAt="2026-01-01T00:00:00+00:00")
    garden.open()
    garden.delete()
    garden.at(8)
    garden.create(name="Another")

    with pytest.raises(IdTakenError, match="another automation uses this id"):
        undo(garden)

    assert garden.tick() == [f"{NEWS}-g2"]
    assert garden.phase() is Phase.CANCELLED
    garden.delete()
    undo(garden)
    assert garden.files.load("news")["name"] == "Another"
    garden.tick()
    assert garden.phase(f"{NEWS}-g2") is Phase.WAITING
    assert garden.phase() is Phase.CANCELLED


def test_an_id_that_differs_by_case_is_taken_too(bench: Bench) -> None:
    garden = Garden(bench)
    garden.delete()
    garden.create(id="News")

    with pytest.raises(IdTakenError, match="upper and lower case"):
        undo(garden)

    assert [document["id"] for document in garden.files.list_all().documents] == ["News", "other"]


def test_an_undo_that_is_sent_twice_changes_nothing_the_second_time(bench: Bench) -> None:
    garden = Garden(bench, createdAt="2026-01-01T00:00:00+00:00")
    garden.open()
    garden.delete()
    undo(garden)
    garden.edit(name="Newer")
    garden.tick()
    undo(garden)

    assert garden.files.load("news")["name"] == "Newer"
    bench.run(NEWS)
    bench.now += DAY
    assert garden.tick() == [TOMORROW]


@pytest.mark.parametrize("created_at", [None, "2026-01-01T00:00:00+00:00"])
def test_an_undo_gives_no_second_send_to_an_equal_one_that_somebody_made_anew(
    bench: Bench, created_at: str | None
) -> None:
    garden = Garden(bench, createdAt=created_at, metadata={"createdBy": "api"})
    garden.open()
    old = garden.files.load("news")
    garden.delete()
    garden.tick()
    garden.at(8)
    if created_at:
        garden.create(metadata={"createdBy": "api"})  # the same content by the API
    else:
        write_json(garden.files.folder / "news.json", old)  # the same file by hand
    again = f"{NEWS}-g2"
    assert garden.tick() == [again]

    undo(garden)

    bench.run(again)
    garden.tick()
    assert garden.phase() is Phase.CANCELLED
    with bench.database.transaction() as connection:
        assert select_generations(connection, ["news"]) == {"news": 2}


def test_an_undo_that_is_sent_again_brings_nothing_back_that_everybody_stopped(
    bench: Bench,
) -> None:
    garden = Garden(bench, createdAt="2026-01-01T00:00:00+00:00")
    garden.open()
    garden.delete()
    undo(garden)
    garden.control.stop_everything("Wrong prices.", bench.now)
    undo(garden)
    garden.at(8)
    garden.resume()
    garden.tick()

    assert garden.phase() is Phase.CANCELLED


def test_each_deletion_ends_a_generation_and_each_undo_gives_it_back(bench: Bench) -> None:
    garden = Garden(bench)
    for _ in range(3):
        garden.delete()
        garden.tick()
        undo(garden)
        garden.tick()

    with bench.database.transaction() as connection:
        assert select_generations(connection, ["news"]) == {"news": 1}


def test_after_an_emergency_stop_it_comes_back_paused(bench: Bench) -> None:
    garden = Garden(bench)
    garden.delete()
    bench.now += MINUTE
    garden.control.stop_everything("Wrong prices.", bench.now)
    bench.now += MINUTE
    undo(garden)

    assert garden.files.load("news")["status"] == "paused"


def test_what_is_deleted_before_an_emergency_stop_has_paused_it_comes_back_paused(
    bench: Bench,
) -> None:
    garden = Garden(bench)
    bench.now += MINUTE
    garden.edit(name="Newer")
    bench.now += MINUTE
    with bench.database.transaction() as connection:
        insert_emergency_stop(connection, "Wrong prices.", bench.now)
    bench.now += MINUTE
    garden.delete()
    garden.control.finish_emergency_stop(bench.now)
    bench.now += MINUTE
    undo(garden)

    assert garden.files.load("news")["status"] == "paused"


def test_what_was_resumed_after_an_emergency_stop_comes_back_as_it_was(bench: Bench) -> None:
    garden = Garden(bench)
    garden.control.stop_everything("Wrong prices.", bench.now)
    bench.now += MINUTE
    garden.resume()
    bench.now += MINUTE
    garden.delete()
    undo(garden)

    assert garden.files.load("news")["status"] == "active"


def test_there_is_nothing_to_undo_for_an_unknown_id(bench: Bench) -> None:
    with pytest.raises(NotDeletedError, match="'news'"):
        undo(Garden(bench))


def test_a_deletion_that_the_database_cannot_take_deletes_nothing(bench: Bench) -> None:
    garden = Garden(bench)
    before = garden.files.load("news")
    away = Database("postgresql://127.0.0.1:9/none", max_connections=1)

    with pytest.raises(DatabaseAwayError):
        delete_automation(garden.files, away, "news", None, bench.now)

    assert garden.files.load("news") == before


def test_the_archive_cancels_what_waits_and_gives_it_back_in_time(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    put_into_archive(garden)

    assert garden.tick() == []
    assert garden.phase() is Phase.CANCELLED
    document = garden.files.load("news")
    assert (document["isArchived"], document["isActive"], document["status"]) == (
        True,
        False,
        "paused",
    )
    garden.at(7)
    take_out(garden, resume=True)
    garden.tick()
    assert garden.phase() is Phase.WAITING


def test_without_a_resume_it_leaves_the_archive_paused(bench: Bench) -> None:
    garden = Garden(bench)
    put_into_archive(garden)
    take_out(garden, resume=False)
    take_out(garden, resume=False)

    document = garden.files.load("news")
    assert (document["isArchived"], document["isActive"]) == (False, False)
    assert document["version"] == 3


def test_an_archived_one_runs_by_no_way(bench: Bench) -> None:
    garden = Garden(bench)
    put_into_archive(garden)

    with pytest.raises(ArchivedError, match="is archived"):
        garden.resume()
    with pytest.raises(ArchivedError, match="is archived"):
        garden.edit(status="active", isActive=True)
    for mode in (Mode.LIVE, Mode.TEST_DRY_RUN):
        with pytest.raises(ArchivedError, match="is archived"):
            start(bench, mode)
    assert bench.executions() == []


def start(bench: Bench, mode: Mode) -> None:
    asked = StartRequest(mode=mode, is_simulated=False)
    start_automation(bench.web, "news", asked, bench.now)


def test_a_file_that_says_archived_and_active_opens_nothing(bench: Bench) -> None:
    garden = Garden(bench, isArchived=True)
    garden.at(10)

    assert garden.tick() == []


def test_the_undo_of_an_archiving_does_not_resume_what_everybody_stopped(bench: Bench) -> None:
    garden = Garden(bench)
    put_into_archive(garden)
    bench.now += MINUTE
    garden.control.stop_everything("Wrong prices.", bench.now)
    take_out(garden, resume=True)

    assert garden.files.load("news")["status"] == "paused"
