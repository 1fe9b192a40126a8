from datetime import timedelta

from push_blaster.domain.executions.phase import Phase
from tests.builders import NOON
from tests.push_blaster.bench import Bench, daily

SLOT = NOON + timedelta(minutes=30)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def test_a_slot_opens_at_its_lead_time_and_not_before(bench: Bench) -> None:
    automation = daily()

    bench.now = SLOT - 10 * MINUTE - timedelta(seconds=1)
    before = bench.tick(automation)
    bench.now = SLOT - 10 * MINUTE
    at = bench.tick(automation)

    assert (before, at) == ([], ["news@20261124T123000Z"])
    (execution,) = bench.executions()
    assert (execution.slot, execution.begins_at) == (SLOT, SLOT - 10 * MINUTE)


def test_two_clocks_and_a_restart_open_a_slot_once(bench: Bench) -> None:
    automation = daily()
    bench.tick(automation, clock=0)
    bench.tick(automation, clock=1)

    bench.now = SLOT - 5 * MINUTE
    opened = [bench.tick(automation, clock=n) for n in (0, 1, 0, 2)]

    assert opened == [["news@20261124T123000Z"], [], [], []]


def test_a_slot_found_late_within_its_grace_runs_late(bench: Bench) -> None:
    automation = daily()
    bench.tick(automation)

    bench.now = SLOT + 29 * MINUTE
    opened = bench.tick(automation, clock=1)

    assert opened == ["news@20261124T123000Z"]
    assert bench.executions()[0].phase is Phase.WAITING


def test_a_slot_found_after_its_grace_is_recorded_as_missed(bench: Bench) -> None:
    automation = daily()
    bench.tick(automation)

    bench.now = SLOT + 31 * MINUTE
    bench.tick(automation, clock=1)

    (execution,) = bench.executions()
    assert execution.phase is Phase.MISSED
    assert execution.reason == (
        "No engine was there to begin it in time: it was found 1860 s after its send time."
    )
    assert execution.reason in bench.log(execution.id)


def test_a_missed_slot_is_skipped_where_that_is_the_policy(bench: Bench) -> None:
    automation = daily(schedule={"missedRunPolicy": "skip"})
    bench.tick(automation)

    bench.now = SLOT + MINUTE
    bench.tick(automation, clock=1)

    assert [e.phase for e in bench.executions()] == [Phase.MISSED]


def test_after_days_without_an_engine_only_the_latest_slot_runs(bench: Bench) -> None:
    automation = daily()
    bench.tick(automation)

    bench.now = SLOT + 3 * DAY + 5 * MINUTE
    bench.tick(automation, clock=1)

    assert [(e.slot, e.phase) for e in bench.executions()] == [
        (SLOT, Phase.MISSED),
        (SLOT + DAY, Phase.MISSED),
        (SLOT + 2 * DAY, Phase.MISSED),
        (SLOT + 3 * DAY, Phase.WAITING),
    ]


def test_a_slot_whose_predecessor_still_runs_is_skipped(bench: Bench) -> None:
    automation = daily()
    bench.now = SLOT - MINUTE
    bench.tick(automation)

    bench.now = SLOT + DAY - MINUTE
    bench.tick(automation)

    first, second = bench.executions()
    assert first.phase is Phase.WAITING
    assert second.phase is Phase.SKIPPED
    assert second.reason == f"The execution {first.id!r} of an earlier send still ran."


def test_an_edit_that_keeps_the_schedule_does_not_fire_again(bench: Bench) -> None:
    bench.now = SLOT - MINUTE
    bench.tick(daily())

    edited = daily(version=2, updatedAt=bench.now.isoformat(), name="New name")

    assert bench.tick(edited) == []


def test_a_schedule_moved_to_later_today_runs_again_at_its_new_time(bench: Bench) -> None:
    bench.tick(daily())
    bench.now = SLOT - 20 * MINUTE
    moved = daily(version=2, updatedAt=bench.now.isoformat(), schedule={"executionTime": "13:00"})

    early = bench.tick(moved)
    bench.now = SLOT + 25 * MINUTE

    assert (early, bench.tick(moved)) == ([], ["news@20261124T130000Z"])


def test_a_file_from_a_backup_sends_nothing_old(bench: Bench) -> None:
    automation = daily(updatedAt=(NOON - 90 * DAY).isoformat())

    assert bench.tick(automation) == []
    assert bench.executions() == []


def test_one_created_just_before_its_time_while_no_engine_ran_still_runs(bench: Bench) -> None:
    automation = daily(updatedAt=(SLOT - MINUTE).isoformat())

    bench.now = SLOT + 2 * MINUTE

    assert bench.tick(automation) == ["news@20261124T123000Z"]


def test_one_edited_after_its_time_while_no_engine_ran_still_runs(bench: Bench) -> None:
    begun, edited = SLOT - MINUTE, SLOT + MINUTE
    automation = daily(activatedAt=begun.isoformat(), updatedAt=edited.isoformat())
    bench.now = SLOT + 2 * MINUTE

    assert bench.tick(automation) == ["news@20261124T123000Z"]


def test_one_activated_after_its_time_does_not_run_for_that(bench: Bench) -> None:
    begun = SLOT + MINUTE
    automation = daily(activatedAt=begun.isoformat(), updatedAt=begun.isoformat())
    bench.now = SLOT + 2 * MINUTE

    assert bench.tick(automation) == []


def test_an_automation_that_is_gone_from_the_folder_fires_no_more(bench: Bench) -> None:
    bench.tick(daily())

    bench.now = SLOT
    assert bench.tick() == []


def test_a_time_that_is_moved_cancels_what_waits_for_the_old_one(bench: Bench) -> None:
    bench.now = SLOT - 5 * MINUTE
    bench.tick(daily())
    moved = daily(version=2, updatedAt=bench.now.isoformat(), schedule={"executionTime": "13:00"})

    bench.tick(moved)
    bench.now = SLOT + 25 * MINUTE
    bench.tick(moved)

    old, new = bench.executions()
    assert (old.slot, old.phase) == (SLOT, Phase.CANCELLED)
    assert old.reason == "The schedule was changed and no longer has this send."
    assert (new.slot, new.phase) == (SLOT + 30 * MINUTE, Phase.WAITING)


def test_an_edit_that_keeps_the_slot_and_a_start_by_hand_are_left_alone(bench: Bench) -> None:
    bench.now = SLOT - 5 * MINUTE
    bench.tick(daily())
    by_hand = bench.start(id="other")
    bench.tick(daily(), daily(id="other"))

    edits = {"version": 2, "updatedAt": bench.now.isoformat()}
    bench.tick(
        daily(schedule={"graceMinutes": 5}, **edits),
        daily(id="other", schedule={"executionTime": "18:00"}, **edits),
    )

    waiting = [e for e in bench.executions() if e.phase is Phase.WAITING]
    assert {e.id for e in waiting} == {"news@20261124T123000Z", by_hand}


def test_a_file_moved_by_hand_under_its_old_version_is_noticed(bench: Bench) -> None:
    bench.tick(daily())
    by_hand = daily(schedule={"executionTime": "13:00"})

    bench.now = SLOT
    early = bench.tick(by_hand)
    bench.now = SLOT + 25 * MINUTE

    assert (early, bench.tick(by_hand)) == ([], ["news@20261124T130000Z"])


def test_one_that_cannot_be_opened_does_not_keep_the_others_from_it(bench: Bench) -> None:
    unfit = {**daily(id="unfit"), "name": "No database keeps \x00"}
    bench.now = SLOT - MINUTE

    opened = [bench.tick(unfit, daily(id="well")) for _ in range(2)]

    assert opened == [["well@20261124T123000Z"], []]
    bench.now += 2 * MINUTE
    assert bench.tick(daily(id="unfit"), daily(id="well")) == ["unfit@20261124T123000Z"]


def test_a_clock_that_stood_still_neither_opens_nor_skips_what_another_has_decided(
    bench: Bench,
) -> None:
    a_day_ahead = daily(schedule={"leadTimeMinutes": 24 * 60, "startDate": "2026-11-24"})
    bench.now = SLOT - 2 * DAY
    bench.tick(a_day_ahead, clock=1)
    bench.tick(a_day_ahead)
    bench.now = SLOT - DAY
    (opened,) = bench.tick(a_day_ahead)
    bench.run(opened)

    bench.now = SLOT + timedelta(seconds=10)
    (tomorrow,) = bench.tick(a_day_ahead, clock=1)

    assert tomorrow == "news@20261125T123000Z"
    assert bench.execution(tomorrow).phase is Phase.WAITING


def test_a_clock_that_has_not_seen_an_edit_opens_nothing_by_the_old_schedule(
    bench: Bench,
) -> None:
    old = daily()
    bench.tick(old, clock=1)
    edited = daily(version=2, schedule={"executionTime": "15:00"})
    bench.tick(edited)

    bench.now = SLOT

    assert bench.tick(old, clock=1) == []
    assert bench.tick(edited, clock=1) == []
    assert bench.executions() == []


def test_a_schedule_changed_by_hand_without_a_new_version_counts(bench: Bench) -> None:
    bench.tick(daily())
    bench.now = NOON + MINUTE

    bench.tick(daily(schedule={"executionTime": "12:20"}))
    bench.now = NOON + 10 * MINUTE

    opened = bench.tick(daily(schedule={"executionTime": "12:20"}))
    assert opened == ["news@20261124T122000Z"]
