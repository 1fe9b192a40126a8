"""The test modes: the same path as live, and never to the audience."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.delivery.delivery_ledger import claim_users
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.start_execution import AlreadyRunningError, BadSlotError
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.builders import NOON
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, an_automation_document, messages, phases
from tests.push_blaster.cadence_support import AWAY, history

MINUTE = timedelta(minutes=1)


@pytest.fixture
def tested(bench: Bench) -> Bench:
    """The bench, with two test users who have a phone."""
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("phone-a", ALICE), Device("phone-b", BOB)], NOON)
    return bench


TESTED = {"testUserIds": [str(ALICE), str(BOB)]}


def receivers(bench: Bench) -> set[str]:
    return {message["userId"] for message in messages(bench)}


def test_a_test_live_send_reaches_the_test_users_and_ends(
    tested: Bench, cadence_database: Database
) -> None:
    execution_id = tested.start(Mode.TEST_LIVE_SEND, settings=TESTED)

    assert tested.run(execution_id).phase is Phase.COMPLETED
    assert receivers(tested) == {str(ALICE), str(BOB)}
    assert [(layer, n) for layer, _, n in history(cadence_database)] == [(4, 2)]
    assert phases(tested, execution_id)[-2:] == ["test_sending", "completed"]


def test_a_test_dry_run_renders_for_the_test_users_and_sends_nothing(
    tested: Bench, cadence_database: Database
) -> None:
    execution_id = tested.start(Mode.TEST_DRY_RUN, settings=TESTED)

    assert tested.run(execution_id).phase is Phase.COMPLETED
    assert messages(tested) == []
    assert history(cadence_database) == []
    assert f"test tried out for {ALICE}, {BOB}" in tested.log(execution_id)


@pytest.mark.parametrize("mode", [Mode.TEST_DRY_RUN, Mode.TEST_LIVE_SEND])
def test_a_test_that_reaches_nobody_has_failed_even_where_live_needs_none(
    bench: Bench, mode: Mode
) -> None:
    execution = bench.run(bench.start(mode))

    assert execution.phase is Phase.FAILED
    assert "settings.testUserIds" in (execution.reason or "")


def test_a_real_dry_run_says_whom_live_would_reach_and_takes_no_slot(
    bench: Bench, cadence_database: Database
) -> None:
    dry = bench.run(bench.start(Mode.REAL_DRY_RUN))
    live = bench.run(bench.start())

    assert (dry.phase, live.phase) == (Phase.COMPLETED, Phase.COMPLETED)
    funnel = bench.funnel(dry.id)
    assert (funnel["wouldSend"], funnel["sent"], funnel["eligible"]) == (10, 0, 10)
    assert bench.funnel(live.id)["sent"] == 10
    assert [(layer, n) for layer, _, n in history(cadence_database)] == [(3, 10)]
    assert len(messages(bench)) == 10


def test_a_real_dry_run_holds_back_whom_live_would_hold_back(bench: Bench) -> None:
    bench.run(bench.start())
    bench.now += timedelta(hours=1)

    funnel = bench.funnel(bench.run(bench.start(Mode.REAL_DRY_RUN)).id)

    assert (funnel["wouldSend"], funnel["excluded"]) == (0, 10)
    assert funnel["exclusionBreakdown"] == {"layer_3_cooldown_hours": 10}


def test_a_real_dry_run_waits_for_no_delay_of_the_sequence(bench: Bench) -> None:
    pushes = [{}, {"layerId": 1, "timing": {"delayAfterPrevious": 600}}]
    execution_id = bench.start(Mode.REAL_DRY_RUN, pushes=pushes)

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert bench.now - NOON < MINUTE
    assert "cancellation_window" not in phases(bench, execution_id)


def test_a_scheduled_test_walks_the_whole_timeline_and_never_reaches_the_audience(
    tested: Bench, cadence_database: Database
) -> None:
    at = NOON + 10 * MINUTE
    settings = {**TESTED, "cancellationWindowMinutes": 30, "dryRunFirst": True}
    pushes = [{}, {"timing": {"delayAfterPrevious": 600}}]
    execution_id = tested.start(Mode.TEST_SCHEDULED_SEND, at, settings=settings, pushes=pushes)
    tested.work()
    assert tested.execution(execution_id).phase is Phase.WAITING
    assert tested.execution(execution_id).begins_at == at - 3 * MINUTE

    tested.now = at - 3 * MINUTE
    tested.work()
    assert tested.execution(execution_id).live_at == at
    execution = tested.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert receivers(tested) == {str(ALICE), str(BOB)}
    assert [p.due_at for p in execution.pushes] == [at, at + timedelta(seconds=10)]
    assert {layer for layer, _, _ in history(cadence_database)} == {4}


def test_a_scheduled_test_that_has_nobody_to_test_on_fails_and_reaches_nobody(bench: Bench) -> None:
    execution = bench.run(bench.start(Mode.TEST_SCHEDULED_SEND))

    assert execution.phase is Phase.FAILED
    assert "settings.testUserIds" in (execution.reason or "")
    assert messages(bench) == []


def test_a_test_of_a_slot_takes_nothing_from_its_live_execution(tested: Bench) -> None:
    at = NOON + 30 * MINUTE
    document = an_automation_document(id="news", settings=TESTED)
    document = dict(
        complete_document(
            {**document, "version": 1, "updatedAt": NOON.isoformat(), "createdAt": NOON.isoformat()}
        )
    )
    test_id = tested.start(Mode.TEST_SCHEDULED_SEND, at, settings=TESTED)

    opened = tested.tick(document)

    assert opened == ["news@20261124T123000Z"]
    assert test_id == "news@20261124T123000Z-test-scheduled-send"
    assert tested.run(opened[0]).phase is Phase.COMPLETED
    assert tested.run(test_id).phase is Phase.COMPLETED


def test_a_mode_runs_once_at_a_time_and_leaves_the_others_alone(tested: Bench) -> None:
    for mode in Mode:
        tested.start(mode, settings=TESTED)
        tested.now += timedelta(seconds=1)

    with pytest.raises(AlreadyRunningError):
        tested.start(Mode.TEST_DRY_RUN)


@pytest.mark.parametrize("mode", sorted(set(Mode) - {Mode.TEST_SCHEDULED_SEND}))
def test_only_a_scheduled_test_has_a_send_time(bench: Bench, mode: Mode) -> None:
    with pytest.raises(BadSlotError):
        bench.start(mode, NOON + MINUTE)


@pytest.mark.parametrize("at", [NOON - MINUTE, NOON + timedelta(days=8)])
def test_a_scheduled_test_is_neither_past_nor_far_away(bench: Bench, at: datetime) -> None:
    with pytest.raises(BadSlotError):
        bench.start(Mode.TEST_SCHEDULED_SEND, at)


def test_a_send_time_that_was_tested_before_is_not_taken_for_a_new_test(bench: Bench) -> None:
    first = bench.start(Mode.TEST_SCHEDULED_SEND, NOON + MINUTE)
    stop_execution(bench.database, first, "a second look", NOON)

    with pytest.raises(BadSlotError, match="before"):
        bench.start(Mode.TEST_SCHEDULED_SEND, NOON + MINUTE)


def test_a_dry_run_is_marked_when_cadence_is_away(bench: Bench) -> None:
    bench.change(cadence=AWAY)

    execution = bench.run(bench.start(Mode.REAL_DRY_RUN))

    assert execution.phase is Phase.COMPLETED
    assert execution.uncapped_reason


def test_a_stopped_dry_run_leaves_nothing_in_doubt(
    bench: Bench, cadence_database: Database
) -> None:
    execution_id = bench.start(Mode.REAL_DRY_RUN)
    with bench.database.transaction() as connection:
        page = LedgerPage(execution_id, 1, is_test=False)
        claim_users(connection, page, {UUID(int=2): None}, NOON)
    bench.is_shutting_down = lambda: bench.execution(execution_id).pushes[0].started_at is not None
    bench.work()
    bench.is_shutting_down = lambda: False
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE send_batches SET fence = 1")
    stop_execution(bench.database, execution_id, "enough", bench.now)
    bench.now += MINUTE

    assert close_batches(bench.context) == 1
    assert bench.funnel(execution_id)["inDoubt"] == 0
    assert history(cadence_database) == []
