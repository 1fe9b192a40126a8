"""Exits: whoever did the goal or the event gets no later push of the sequence."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.postgres import BulkDatabase
from chassis.rows import execute
from push_blaster.adapters.delivery.delivery_ledger import claim_users
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.resume_execution import resume_execution
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.builders import NOON
from tests.push_blaster.bench import Bench, messages

MINUTE = timedelta(minutes=1)
LATER = {"layerId": 1, "timing": {"delayAfterPrevious": 60}}


def start(
    bench: Bench, *exit_on: str, pushes: Any = ({"layerId": 1}, LATER), **changes: Any
) -> str:
    return bench.start(pushes=list(pushes), settings={"exitOn": list(exit_on)}, **changes)


def convert(bench: Bench, user: int, goal: str, at: datetime) -> None:
    sql = """
        INSERT INTO conversions (key, user_id, goal, at, received_at)
        VALUES (%(key)s, %(user)s, %(goal)s, %(at)s, %(at)s)
    """
    values = {"key": f"{user}/{goal}/{at}", "user": str(UUID(int=user)), "goal": goal, "at": at}
    with bench.database.transaction() as connection:
        execute(connection, sql, values)


def react(bench: Bench, execution_id: str, user: int, event: str) -> None:
    sql = """
        INSERT INTO events (week, execution_number, position, user_id, event, variant, at,
                            received_at)
        SELECT week, execution_number, position, %(user)s, %(event)s, 0, %(at)s, %(at)s
          FROM result_pushes WHERE execution_id = %(id)s AND position = 1
    """
    values = {"id": execution_id, "user": str(UUID(int=user)), "event": event, "at": bench.now}
    with bench.database.transaction() as connection:
        assert execute(connection, sql, values) == 1


def left(bench: Bench, execution_id: str, position: int) -> dict[int, str]:
    return {
        d["user_id"].int: d["reason"]
        for d in bench.deliveries(execution_id)
        if d["position"] == position and d["state"] == "exited"
    }


def test_whoever_did_the_goal_or_the_event_gets_no_later_push(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    execution_id = start(bench, "purchase", "opted_out", id="sale")
    bench.work()
    convert(bench, 1, "purchase", NOON + MINUTE)
    convert(bench, 2, "visit", NOON + MINUTE)
    convert(bench, 3, "purchase", NOON - MINUTE)
    react(bench, execution_id, 4, "opted_out")
    react(bench, execution_id, 5, "opened")
    bench.now = NOON + 60 * MINUTE

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert left(bench, execution_id, 1) == {}
    assert left(bench, execution_id, 2) == {1: "did purchase", 4: "did opted_out"}
    funnel = bench.funnel(execution_id, 2)
    assert (funnel["exited"], funnel["sent"], funnel["eligible"]) == (2, 8, 8)
    assert len(messages(bench)) == 10 + 8
    with cadence_database.transaction() as connection:
        slots = connection.execute("SELECT count(*) FROM held_slots").fetchone()
        told = connection.execute("SELECT count(*) FROM user_notifications").fetchone()
    assert (slots, told) == ((0,), (18,)), "whoever left uses up no cap"


def test_an_event_of_another_execution_makes_nobody_leave(bench: Bench) -> None:
    other = bench.start(id="other", pushes=[{"layerId": 1}])
    bench.run(other)
    react(bench, other, 1, "opened")
    execution_id = start(bench, "opened", id="sale")
    bench.work()
    bench.now += 61 * MINUTE

    bench.run(execution_id)

    assert bench.funnel(execution_id, 2)["sent"] == 10


def test_whoever_converts_between_the_audience_and_the_send_is_left_out_of_the_first_push(
    bench: Bench,
) -> None:
    execution_id = start(bench, "purchase", pushes=[{"layerId": 1, **LATER}])
    bench.work()
    convert(bench, 7, "purchase", NOON + MINUTE)
    bench.now = NOON + 60 * MINUTE

    bench.run(execution_id)

    assert left(bench, execution_id, 1) == {7: "did purchase"}


def test_whoever_leaves_while_the_own_time_is_awaited_gets_nothing(bench: Bench) -> None:
    settings = {
        "exitOn": ["purchase"],
        "quietHours": {"start": "11:00", "end": "14:00", "timezone": "UTC"},
    }
    execution_id = bench.start(settings=settings)
    bench.work()
    assert bench.funnel(execution_id)["held"] == 10
    convert(bench, 7, "purchase", NOON + MINUTE)
    bench.now = NOON + 120 * MINUTE

    bench.run(execution_id)

    assert left(bench, execution_id, 1) == {7: "did purchase"}
    assert bench.funnel(execution_id)["sent"] == 9


class _Busy:
    """A provider that takes no message at first; what it takes then is in `sent`."""

    def __init__(self) -> None:
        self.outcome, self.sent = Outcome.DEFERRED, list[int]()

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            if self.outcome is Outcome.SENT:
                self.sent.append(message.user_id.int)
            yield Delivery(message.user_id, self.outcome, retry_after_s=1)

    def check(self) -> None:
        """It is there."""

    def close(self) -> None:
        """There is nothing to let go of."""


def test_whoever_leaves_while_the_provider_is_busy_gets_nothing(bench: Bench) -> None:
    provider = _Busy()
    bench.change(transport=provider)
    execution_id = start(bench, "purchase", "opened", pushes=[{"layerId": 1}])
    bench.work()
    assert bench.funnel(execution_id)["deferred"] == 10
    convert(bench, 7, "purchase", NOON)
    react(bench, execution_id, 8, "opened")
    provider.outcome = Outcome.SENT

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert left(bench, execution_id, 1) == {7: "did purchase", 8: "did opened"}
    assert sorted(provider.sent) == [1, 2, 3, 4, 5, 6, 9, 10]


def test_whoever_leaves_after_a_crash_stays_in_doubt_and_gets_nothing_again(bench: Bench) -> None:
    execution_id = start(bench, "purchase", pushes=[{"layerId": 1}])
    with bench.database.transaction() as connection:
        page = LedgerPage(execution_id, 1, is_test=False)
        claim_users(connection, page, {UUID(int=7): None, UUID(int=8): None}, NOON)
    convert(bench, 7, "purchase", NOON)

    bench.run(execution_id)

    states = {d["user_id"].int: d["state"] for d in bench.deliveries(execution_id)}
    assert (states[7], states[8]) == ("in_doubt", "sent")
    assert len(messages(bench)) == 9


def test_a_second_attempt_at_a_batch_asks_cadence_the_same_question(bench: Bench) -> None:
    """Another question under the key of the first one is refused, and then nobody is checked."""
    execution_id = start(bench, "purchase", pushes=[{"layerId": 3}], parameters={"users": 30})
    convert(bench, 1, "purchase", NOON)
    bench.work_until_sent(1)
    convert(bench, 2, "purchase", NOON)
    convert(bench, 30, "purchase", NOON)

    execution = bench.run(execution_id)

    assert execution.uncapped_reason is None
    assert 1 in left(bench, execution_id, 1)
    funnel = bench.funnel(execution_id)
    assert funnel["sent"] + funnel["exited"] == 30


def test_a_resumed_send_knows_who_left_before_the_stop(bench: Bench) -> None:
    execution_id = start(bench, "opened")
    bench.work()
    react(bench, execution_id, 4, "opened")
    convert(bench, 5, "opened", NOON)
    bench.now = NOON + MINUTE
    stop_execution(bench.database, execution_id, "enough", bench.now)
    bench.now += MINUTE
    close_batches(bench.context)

    resumed = resume_execution(bench.web, execution_id, bench.now, window=timedelta(0)).id
    bench.run(resumed)

    assert left(bench, resumed, 2) == {4: "did opened"}
    assert bench.funnel(resumed, 2)["sent"] == 9


@pytest.mark.parametrize("mode", [Mode.TEST_SCHEDULED_SEND, Mode.REAL_DRY_RUN])
def test_a_dry_run_leaves_them_out_and_a_test_does_not(bench: Bench, mode: Mode) -> None:
    convert(bench, 1, "purchase", NOON + MINUTE)
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("phone", UUID(int=1))], NOON)
    settings = {"exitOn": ["purchase"], "testUserIds": [str(UUID(int=1))]}

    execution = bench.run(bench.start(mode=mode, settings=settings))

    assert execution.phase is Phase.COMPLETED
    is_dry_run = mode is Mode.REAL_DRY_RUN
    assert left(bench, execution.id, 1) == ({1: "did purchase"} if is_dry_run else {})
