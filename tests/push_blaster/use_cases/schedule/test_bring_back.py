"""Pause and resume before T, and delete and create anew: what the plan names is sent."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from chassis.rows import fetch_value
from push_blaster.adapters.automations.json_files import write_json
from push_blaster.adapters.executions.suspensions import delete_suspensions, reopen_execution
from push_blaster.domain.executions.approval import Approval, Hashes
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.automations.follow_files import GONE_FOR, FileFollower
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.approve_execution import approve_execution
from push_blaster.use_cases.executions.stop_execution import (
    cancel_execution,
    cancel_pending,
    stop_every_execution,
    stop_execution,
)
from push_blaster.use_cases.schedule.bring_back import bring_back
from tests.people import ALICE
from tests.push_blaster.bench import Bench, daily, messages
from tests.push_blaster.use_cases.schedule.garden import NEWS, Garden, T

TESTED = {"testUserIds": [str(ALICE)], "dryRunFirst": True, "cancellationWindowMinutes": 1}


@pytest.mark.parametrize(
    ("steps", "reached"),
    list(enumerate(["waiting", "audience_generation", "test_sending", "cancellation_window"])),
)
def test_resumed_in_time_it_runs(bench: Bench, steps: int, reached: str) -> None:
    garden = Garden(bench, settings=TESTED)
    garden.open()
    for _ in range(steps):
        advance_execution(bench.context, NEWS)
    assert garden.phase() == reached

    garden.at(8)
    garden.pause()
    garden.tick()
    paused = garden.phase()
    garden.at(6)
    garden.resume()
    garden.tick()

    assert (paused, garden.phase()) == (Phase.CANCELLED, Phase.WAITING)
    assert garden.remark() is None
    assert garden.next_slots() == [T, T]
    assert "the execution begins again" in bench.log(NEWS)
    assert bench.run(NEWS).phase is Phase.COMPLETED
    assert bench.execution(NEWS).live_at == T
    assert len(messages(bench)) == 10 + 1, "everybody once, and one test"


def test_paused_before_it_was_opened_it_runs_too(bench: Bench) -> None:
    garden = Garden(bench)
    garden.at(20)
    garden.pause()
    garden.at(5)
    garden.resume()

    assert garden.tick() == [NEWS]


def test_resumed_after_t_it_stays_cancelled(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    garden.pause()
    garden.at(-0.1)
    garden.resume()
    garden.tick()
    garden.tick(clock=1)

    assert garden.phase() is Phase.CANCELLED


def test_an_engine_that_comes_late_goes_by_the_grace_period(bench: Bench) -> None:
    garden = Garden(bench, schedule={"graceMinutes": 5})
    garden.open()
    garden.pause()
    garden.resume()

    garden.at(-6)
    garden.tick(clock=1)
    too_late = garden.phase()
    garden.at(-4)
    garden.tick(clock=2)

    assert (too_late, garden.phase()) == (Phase.CANCELLED, Phase.WAITING)


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("how", ["cancel", "stop", "emergency stop", "stop everything"])
def test_what_a_person_has_cancelled_stays_cancelled(bench: Bench, when: str, how: str) -> None:
    garden = Garden(bench)
    garden.open()
    database, now = bench.database, bench.now
    acts: Mapping[str, Callable[[], object]] = {
        "cancel": lambda: cancel_execution(database, NEWS, "No.", now),
        "stop": lambda: stop_execution(database, NEWS, "No.", now),
        "emergency stop": lambda: garden.control.emergency_stop("news", "No.", now),
        "stop everything": lambda: garden.control.stop_everything("No.", now),
    }

    if when == "during":
        garden.pause()
    acts[how]()
    if garden.files.load("news")["status"] == "active":
        garden.pause()
    garden.at(5)
    garden.resume()
    garden.tick()

    assert garden.phase() is Phase.CANCELLED
    assert (garden.remark() or "").startswith("Not sent: ")
    assert garden.next_slots() == [T + timedelta(days=1)] * 2


def wait_for_a_lock(bench: Bench) -> None:
    """Return when another transaction waits for a lock of one of ours."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        with bench.database.transaction() as connection:
            if fetch_value(connection, asked):
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_a_cancel_that_comes_first_is_for_good(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    garden.pause()
    garden.resume()

    with ThreadPoolExecutor(1) as engine:
        with bench.database.transaction() as connection:
            delete_suspensions(connection, [NEWS])
            back = engine.submit(bring_back, garden.files, bench.database, bench.now)
            wait_for_a_lock(bench)
        assert back.result(10) == []

    assert garden.phase() is Phase.CANCELLED


@pytest.mark.parametrize("how", ["one", "all of the automation", "everything"])
def test_a_cancel_that_comes_second_cancels_what_has_come_back(bench: Bench, how: str) -> None:
    garden = Garden(bench)
    garden.open()
    garden.pause()
    garden.resume()
    database, now, document = bench.database, bench.now, garden.files.load("news")
    acts: Mapping[str, Callable[[], object]] = {
        "one": lambda: cancel_execution(database, NEWS, "No.", now),
        "all of the automation": lambda: cancel_pending(database, "news", "No.", now),
        "everything": lambda: stop_every_execution(database, "No.", now),
    }

    with ThreadPoolExecutor(1) as person:
        with database.transaction() as connection:
            assert reopen_execution(connection, NEWS, document, now)
            cancelled = person.submit(acts[how])
            wait_for_a_lock(bench)
        cancelled.result(10)
    garden.tick()

    assert garden.phase() is Phase.CANCELLED


def test_a_file_that_comes_back_is_the_same_automation(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    path = garden.files.folder / "news.json"
    text = path.read_text()
    uptime = 0.0
    follower = FileFollower(garden.files, bench.database, uptime=lambda: uptime)

    path.unlink()
    follower.look(bench.now)
    uptime += GONE_FOR.total_seconds()
    gone = follower.look(bench.now)
    garden.at(5)
    path.write_text(text)
    garden.tick()

    assert gone == [NEWS]
    assert bench.run(NEWS).phase is Phase.COMPLETED


def test_a_schedule_that_is_moved_and_moved_back_keeps_its_slot(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    schedule = garden.files.load("news")["schedule"]

    garden.edit(schedule={**schedule, "executionTime": "18:00"})
    garden.tick()
    moved = garden.phase()
    garden.at(7)
    garden.edit(schedule=schedule)
    garden.tick()

    assert (moved, garden.phase()) == (Phase.CANCELLED, Phase.WAITING)


def test_other_texts_are_tested_anew(bench: Bench) -> None:
    garden = Garden(bench, settings=TESTED)
    garden.open()
    bench.work()
    garden.pause()
    pushes: list[Mapping[str, Any]] = garden.files.load("news")["pushSequence"]
    garden.edit(pushSequence=[{**pushes[0], "title": "Other words"}])
    garden.resume()
    garden.tick()

    bench.run(NEWS)

    titles = [message["title"] for message in messages(bench)]
    assert titles == ["Hi Name 1", *["Other words"] * 11], "a test each, and ten users"


def test_two_engines_bring_it_back_once(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    garden.pause()
    garden.resume()

    back = [bring_back(garden.files, bench.database, bench.now) for _ in range(2)]

    assert back == [[NEWS], []]
    assert bench.log(NEWS).count("begins again") == 1


def test_paused_again_it_is_cancelled_again(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    for _ in range(2):
        garden.pause()
        garden.resume()
        garden.tick()
    garden.pause()
    garden.tick()

    assert garden.phase() is Phase.CANCELLED


def test_an_approval_holds_while_texts_and_audience_are_the_same(bench: Bench) -> None:
    garden = Garden(bench, settings={**TESTED, "requireApproval": True})
    garden.open()
    bench.work()
    approval = Approval(by="Ada", at=bench.now, hashes=Hashes("", ""))
    approve_execution(bench.database, bench.context.cadence, NEWS, approval)
    garden.pause()
    garden.resume()
    garden.tick()

    assert bench.run(NEWS).phase is Phase.COMPLETED


def test_deleted_and_made_anew_it_has_slots_of_its_own(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    garden.delete()
    garden.at(5)
    garden.create()

    assert garden.tick() == [f"{NEWS}-g2"]
    assert garden.phase() is Phase.CANCELLED
    assert garden.remark() is None
    assert garden.next_slots() == [T, T]
    assert bench.run(f"{NEWS}-g2").phase is Phase.COMPLETED
    assert garden.tick(clock=1) == []


def test_the_third_generation_has_a_slot_of_its_own_too(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    for _ in range(2):
        garden.delete()
        garden.create()
    opened = garden.tick(clock=1)

    assert opened == [f"{NEWS}-g3"]


def test_a_slot_in_which_an_earlier_generation_went_live_is_not_opened_again(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    bench.run(NEWS)
    garden.at(-5)
    garden.delete()
    write_json(garden.files.folder / "news.json", daily())  # by a pipeline, with its old date

    assert garden.tick() == []
    assert [execution.id for execution in bench.executions()] == [NEWS]


def test_an_engine_that_has_not_noticed_opens_nothing_for_the_deleted_one(bench: Bench) -> None:
    garden = Garden(bench)
    stale = garden.files.list_all().documents
    bench.tick(*stale, clock=1)
    garden.delete()

    garden.at(10)
    assert bench.tick(*stale, clock=1) == []
    garden.create()
    assert garden.tick() == [f"{NEWS}-g2"]
