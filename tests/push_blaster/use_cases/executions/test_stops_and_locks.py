"""A stop takes effect at once, whatever another transaction has locked and forgotten."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from chassis.clock import utc_now
from chassis.postgres import Connection, Database, LockedError
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.delivery.delivery_ledger import select_states
from push_blaster.adapters.executions.suspensions import select_suspended
from push_blaster.adapters.operations.emergency_stops import insert_emergency_stop
from push_blaster.adapters.operations.execution_stops import (
    has_stops,
    insert_unseen_stop,
    is_stopped,
)
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.automations.control_automation import Control
from push_blaster.use_cases.context import StepStoppedError
from push_blaster.use_cases.delivery.send_messages import SendTask, send_messages
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.stop_execution import (
    cancel_execution,
    cancel_pending,
    end_stopped_executions,
    stop_every_execution,
    stop_execution,
    stop_running,
    suspend_pending,
)
from tests.builders import NOON
from tests.people import ALICE
from tests.push_blaster.bench import Bench, daily, messages
from tests.scripts import HANGING

#: How somebody may hold the rows of an execution, and forget the transaction.
FORGOTTEN = {
    "changed": "UPDATE executions SET reason = 'by hand' WHERE id = %s",
    "locked": "SELECT id FROM executions WHERE id = %s FOR UPDATE",
    "shared": "SELECT id FROM executions WHERE id = %s FOR SHARE",
    "a push changed": "UPDATE execution_pushes SET source_file = 'x' WHERE execution_id = %s",
}
#: What `ALTER TABLE` holds.
LOCKED_TABLE = "LOCK TABLE executions IN ACCESS EXCLUSIVE MODE -- %s"
#: Stops answer within a second; a busy machine gets a little more.
AT_ONCE_S = 1.5


@contextmanager
def forgotten(database: Database, sql: str, execution_id: str) -> Iterator[None]:
    """Hold rows in a transaction that nobody ends."""
    connection = database.connect()
    try:
        connection.cursor().execute(sql, (execution_id,))
        yield
    finally:
        connection.rollback()
        connection.close()


@pytest.mark.parametrize("sql", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_stop_takes_effect_though_its_rows_are_held(bench: Bench, sql: str) -> None:
    execution_id = bench.start(pushes=[{}, {"timing": {"delayAfterPrevious": 45}}])
    bench.work()
    assert len(messages(bench)) == 0 or bench.execution(execution_id).phase is Phase.LIVE_EXECUTION
    bench.now += timedelta(seconds=1)
    bench.work()
    sent = len(messages(bench))

    with forgotten(bench.database, sql, execution_id):
        begun = time.monotonic()
        receipt = stop_execution(bench.database, execution_id, "Wrong text", bench.now)
        took = time.monotonic() - begun
        bench.now += timedelta(hours=1)
        bench.work()
        assert bench.execution(execution_id).is_stopping

    assert took < AT_ONCE_S
    assert receipt.execution.is_stopping
    assert [f.sent for f in receipt.funnels.values()] == [sent, 0]
    assert len(messages(bench)) == sent
    assert end_stopped_executions(bench.database, bench.now) == [execution_id]
    ended = bench.execution(execution_id)
    assert (ended.phase, ended.reason) == (Phase.CANCELLED, "Wrong text")
    assert ended.stop_asked_at is None
    assert bench.log(execution_id).endswith("Wrong text")


def test_a_second_stop_answers_as_the_first_one(bench: Bench) -> None:
    execution_id = bench.start()

    with forgotten(bench.database, FORGOTTEN["locked"], execution_id):
        first, second = (
            cancel_execution(bench.database, execution_id, "Twice", bench.now) for _ in range(2)
        )

    assert first.execution.is_stopping
    assert second.execution.is_stopping
    assert not first.execution.can_stop


def test_a_pause_cancels_what_is_held(bench: Bench) -> None:
    execution_id = bench.start()

    with forgotten(bench.database, FORGOTTEN["changed"], execution_id):
        begun = time.monotonic()
        cancelled = cancel_pending(bench.database, "news", "Paused", bench.now)
        assert time.monotonic() - begun < AT_ONCE_S

    bench.work()
    assert cancelled == [execution_id]
    assert messages(bench) == []


def test_a_changed_schedule_does_not_hold_the_clock(bench: Bench) -> None:
    (execution_id,) = (*bench.tick(daily()), *_move(bench, timedelta(minutes=21)).tick(daily()))
    moved = daily(schedule={"executionTime": "18:00"}, updatedAt=bench.now.isoformat(), version=2)

    with forgotten(bench.database, FORGOTTEN["locked"], execution_id):
        begun = time.monotonic()
        bench.tick(moved)
        assert time.monotonic() - begun < AT_ONCE_S

    with bench.database.transaction() as connection:
        assert is_stopped(connection, execution_id)


def test_a_running_script_ends_though_its_row_is_held(bench: Bench) -> None:
    bench.write_script(HANGING)
    bench.change(clock=utc_now)
    execution_id = bench.start()

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(bench.work)
        while bench.execution(execution_id).phase is not Phase.AUDIENCE_GENERATION:
            time.sleep(0.05)
        with forgotten(bench.database, FORGOTTEN["locked"], execution_id):
            stop_execution(bench.database, execution_id, "Too slow", bench.now)
            work.result(timeout=10)


def test_what_is_claimed_while_a_stop_is_written_goes_back(bench: Bench) -> None:
    """The claim saw no stop; the stop came before the claim was committed."""
    execution_id = bench.start()
    page = LedgerPage(execution_id, 1, is_test=False)

    def allow_and_stop(_: Connection) -> bool:
        stop_execution(bench.database, execution_id, "Just now", bench.now)
        return True

    task = SendTask(page=page, may_send=allow_and_stop, should_stop=lambda: False)
    with pytest.raises(StepStoppedError):
        send_messages(bench.context, task, [Message(ALICE, "token", "Title", "Body", "", "tag")])

    assert messages(bench) == []
    with bench.database.transaction() as connection:
        assert select_states(connection, page) == {}


def test_the_clock_opens_nothing_until_an_emergency_stop_has_paused_it(bench: Bench) -> None:
    before = daily(activatedAt=(NOON - timedelta(days=1)).isoformat())
    bench.tick(before)
    with bench.database.transaction() as connection:
        insert_emergency_stop(connection, "Stop", NOON)
    bench.now = NOON + timedelta(minutes=21)

    assert bench.tick(before) == []

    after = daily(activatedAt=(NOON + timedelta(seconds=1)).isoformat())
    assert len(bench.tick(after)) == 1


def test_a_stop_is_accepted_while_the_whole_table_is_locked(bench: Bench) -> None:
    execution_id = bench.start()

    with forgotten(bench.database, LOCKED_TABLE, execution_id):
        begun = time.monotonic()
        with pytest.raises(LockedError, match="The stop is accepted"):
            stop_execution(bench.database, execution_id, "Wrong text", bench.now)
        assert time.monotonic() - begun < 3 * AT_ONCE_S

    bench.work()
    assert messages(bench) == []
    receipt = stop_execution(bench.database, execution_id, "Again", bench.now)
    assert (receipt.execution.phase, receipt.execution.reason) == (Phase.CANCELLED, "Wrong text")


def test_a_running_script_ends_though_the_whole_table_is_locked(bench: Bench) -> None:
    bench.write_script(HANGING)
    bench.change(clock=utc_now)
    execution_id = bench.start()
    advance_execution(bench.context, execution_id)

    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(advance_execution, bench.context, execution_id)
        while "The script users runs." not in bench.log(execution_id):
            time.sleep(0.05)
        with forgotten(bench.database, LOCKED_TABLE, execution_id):
            with pytest.raises(LockedError, match="The stop is accepted"):
                stop_execution(bench.database, execution_id, "Too slow", bench.now)
            assert step.result(timeout=10)


#: Every way to stop, pause or cancel executions, with what it answers while a table is locked.
WAYS: dict[str, tuple[Callable[[Database, str, datetime], object], str]] = {
    "cancel": (lambda d, id_, at: cancel_execution(d, id_, "No", at), "The cancel is accepted"),
    "stop": (lambda d, id_, at: stop_execution(d, id_, "No", at), "The stop is accepted"),
    "cancel of all pending": (
        lambda d, _, at: cancel_pending(d, "news", "No", at),
        "The cancel is accepted",
    ),
    "pause": (lambda d, _, at: suspend_pending(d, "news", "No", at), "The pause is accepted"),
    "emergency stop": (lambda d, _, at: stop_running(d, "news", "No", at), "The stop is accepted"),
    "emergency stop of everything": (
        lambda d, _, at: stop_every_execution(d, "No", at),
        "The stop is accepted",
    ),
}


@pytest.mark.parametrize("table", ["executions", "execution_pushes"])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_stop_is_accepted_while_a_whole_table_is_locked(
    bench: Bench, way: str, table: str
) -> None:
    execution_id = bench.start()
    stop, answer = WAYS[way]

    with forgotten(bench.database, f"LOCK TABLE {table} -- %s", execution_id):
        begun = time.monotonic()
        with pytest.raises(LockedError, match=answer):
            stop(bench.database, execution_id, bench.now)
        assert time.monotonic() - begun < 3 * AT_ONCE_S

    bench.now += timedelta(seconds=1)
    other = bench.start(id="younger")
    bench.work()
    assert bench.execution(execution_id).phase is Phase.WAITING, "nothing begins"
    assert end_stopped_executions(bench.database, bench.now) == [execution_id]
    ended = bench.execution(execution_id)
    assert (ended.phase, ended.reason) == (Phase.CANCELLED, "No")
    assert end_stopped_executions(bench.database, bench.now) == []
    assert bench.run(other).phase is Phase.COMPLETED, "younger than the stop"


def test_a_receipt_that_cannot_be_read_says_that_the_stop_holds(bench: Bench) -> None:
    execution_id = bench.start()

    with forgotten(bench.database, "LOCK TABLE deliveries -- %s", execution_id):
        begun = time.monotonic()
        for stop, answer in (WAYS["stop"], WAYS["emergency stop"]):
            with pytest.raises(LockedError, match=answer):
                stop(bench.database, execution_id, bench.now)
        assert time.monotonic() - begun < 6 * AT_ONCE_S

    assert bench.execution(execution_id).phase is Phase.CANCELLED


def test_a_cancel_that_waits_leaves_alone_what_is_live(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 60})
    bench.work_until_sent(25)

    for way in ("cancel", "cancel of all pending", "pause"):
        stop, answer = WAYS[way]
        with (
            forgotten(bench.database, LOCKED_TABLE, execution_id),
            pytest.raises(LockedError, match=answer),
        ):
            stop(bench.database, execution_id, bench.now)
    assert bench.run(execution_id).phase is Phase.COMPLETED

    assert len(messages(bench)) == 60
    assert end_stopped_executions(bench.database, bench.now) == []


def test_what_a_pause_stops_later_comes_back_with_its_automation(bench: Bench) -> None:
    execution_id = bench.start()
    with (
        forgotten(bench.database, LOCKED_TABLE, execution_id),
        pytest.raises(LockedError, match="The pause is accepted"),
    ):
        suspend_pending(bench.database, "news", "Paused", bench.now)

    end_stopped_executions(bench.database, bench.now)

    with bench.database.transaction() as connection:
        assert [one.id for one in select_suspended(connection, bench.now)] == [execution_id]


@pytest.mark.parametrize("way", ["stop", "emergency stop", "emergency stop of everything"])
def test_each_emergency_ends_a_script_though_the_whole_table_is_locked(
    bench: Bench, way: str
) -> None:
    bench.write_script(HANGING)
    bench.change(clock=utc_now)
    execution_id = bench.start()
    advance_execution(bench.context, execution_id)
    stop, answer = WAYS[way]

    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(advance_execution, bench.context, execution_id)
        while "The script users runs." not in bench.log(execution_id):
            time.sleep(0.05)
        with forgotten(bench.database, LOCKED_TABLE, execution_id):
            with pytest.raises(LockedError, match=answer):
                stop(bench.database, execution_id, bench.now)
            assert step.result(timeout=10)


def test_a_stop_of_what_has_ended_unseen_is_forgotten(bench: Bench) -> None:
    execution_id = bench.start()
    ended = bench.run(execution_id)
    with bench.database.transaction() as connection:
        for one in (execution_id, "none"):
            insert_unseen_stop(connection, one, (Phase.CANCELLED, "Late"), bench.now)

    assert end_stopped_executions(bench.database, bench.now) == []

    assert bench.execution(execution_id) == ended
    with bench.database.transaction() as connection:
        assert not has_stops(connection, [execution_id, "none"])


def test_an_emergency_stop_whose_process_died_at_once_is_finished(bench: Bench) -> None:
    before = bench.start()
    with bench.database.transaction() as connection:
        insert_emergency_stop(connection, "Wrong text", bench.now)
    bench.now += timedelta(seconds=1)
    after = bench.start(id="later")

    files = AutomationFiles(bench.folder / "automations")
    Control(files, bench.database).finish_emergency_stop(bench.now)

    stopped = bench.execution(before)
    assert (stopped.phase, stopped.reason) == (Phase.CANCELLED, "Wrong text")
    assert bench.execution(after).phase is Phase.WAITING


def _move(bench: Bench, by: timedelta) -> Bench:
    bench.now += by
    return bench
