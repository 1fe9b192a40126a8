"""Who opted out before a batch was claimed gets no push, whatever path the push takes."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.postgres import BulkDatabase
from chassis.rows import execute, fetch_all
from push_blaster.adapters.delivery.delivery_ledger import claim_users
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.devices.opt_out_table import delete_opt_outs, upsert_opt_outs
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.devices.opt_out import OptOut, Scope
from push_blaster.domain.executions.modes import Mode
from tests.builders import NOON
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, messages

AUDIENCE = f"user_id,first_name,device_token\n{ALICE},A,ok-a\n{BOB},B,ok-b"


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({AUDIENCE!r})"
    )
    return bench


def opt_out(bench: Bench, user: UUID = ALICE, **about: Any) -> None:
    one = OptOut(**{"user_id": user, "scope": Scope.ALL, "set_at": bench.now, **about})
    with bench.database.transaction() as connection:
        upsert_opt_outs(connection, [one])


def reached(bench: Bench) -> list[str]:
    return sorted(message["userId"] for message in messages(bench))


@pytest.mark.parametrize(
    ("about", "gets_it"),
    [
        ({}, False),
        ({"scope": Scope.LAYER, "target": "3"}, False),
        ({"scope": Scope.LAYER, "target": "2"}, True),
        ({"scope": Scope.AUTOMATION, "target": "news"}, False),
        ({"scope": Scope.AUTOMATION, "target": "other"}, True),
        ({"until": NOON + timedelta(days=1)}, False),
        ({"until": NOON - timedelta(seconds=1)}, True),
    ],
)
def test_an_opt_out_holds_for_its_pushes_and_its_time(
    bench: Bench, about: dict[str, Any], *, gets_it: bool
) -> None:
    opt_out(bench, **about)

    execution = bench.run(bench.start())

    assert (str(ALICE) in reached(bench)) is gets_it
    assert str(BOB) in reached(bench)
    funnel = bench.funnel(execution.id)
    assert (funnel["optedOut"], funnel["sent"]) == ((0, 2) if gets_it else (1, 1))
    assert funnel["eligible"] == funnel["sent"]


def test_the_ledger_says_what_the_user_does_not_want(bench: Bench) -> None:
    opt_out(bench, scope=Scope.LAYER, target="3")

    execution = bench.run(bench.start())

    rows = {row["user_id"]: (row["state"], row["reason"]) for row in bench.deliveries(execution.id)}
    assert rows[ALICE] == ("opted_out", "opted out of the pushes of layer 3")


def test_a_batch_with_an_opt_out_is_recorded_at_once_as_any_other(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    """What is recorded user by user has a key for each user, and takes ten times as long."""
    opt_out(bench)

    bench.run(bench.start())

    with cadence_database.transaction() as connection:
        sends = connection.execute("SELECT user_id FROM user_notifications").fetchall()
        keys = connection.execute("SELECT user_id FROM notification_keys").fetchall()
    assert [UUID(str(user_id)) for (user_id,) in sends] == [BOB]
    assert not keys


def test_the_slot_of_a_user_who_opts_out_while_waiting_is_released(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    quiet = {"quietHours": {"start": "11:00", "end": "13:00"}}
    execution_id = bench.start(settings=quiet)
    bench.work()
    assert bench.funnel(execution_id)["held"] == 2
    opt_out(bench)
    bench.now += timedelta(hours=1)

    bench.run(execution_id)

    assert reached(bench) == [str(BOB)]
    with cadence_database.transaction() as connection:
        assert not connection.execute("SELECT user_id FROM held_slots").fetchall()


def test_whoever_opts_in_again_gets_the_next_push(bench: Bench) -> None:
    opt_out(bench)
    bench.run(bench.start())
    with bench.database.transaction() as connection:
        delete_opt_outs(connection, ALICE)
    bench.now += timedelta(days=10)

    bench.run(bench.start())

    assert reached(bench) == sorted([str(ALICE), str(BOB), str(BOB)])


class OptsOut:
    """A transport that sends to Bob first, and during this send Alice opts out."""

    def __init__(self, bench: Bench, outcome: Outcome = Outcome.SENT) -> None:
        self.bench, self.outcome = bench, outcome
        self.sent: list[UUID] = []

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            self.sent.append(message.user_id)
            opt_out(self.bench)
            yield Delivery(message.user_id, self.outcome, retry_after_s=1)

    def check(self) -> None:
        """It is there."""

    def close(self) -> None:
        """There is nothing to let go of."""


def test_an_opt_out_in_mid_send_stops_the_later_messages(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("push_blaster.use_cases.delivery.send_messages.CLAIM", 1)
    rows = f"user_id,first_name,device_token\n{BOB},B,ok-b\n{ALICE},A,ok-a"
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({rows!r})"
    )
    transport = OptsOut(bench)
    bench.change(transport=transport)

    execution = bench.run(bench.start())

    assert transport.sent == [BOB]
    assert bench.funnel(execution.id)["optedOut"] == 1


def test_a_message_that_waits_for_its_next_try_is_not_sent_any_more(bench: Bench) -> None:
    transport = OptsOut(bench, Outcome.DEFERRED)
    bench.change(transport=transport)
    execution_id = bench.start()
    bench.work()
    assert bench.funnel(execution_id)["deferred"] == 2
    transport.outcome = Outcome.SENT

    bench.run(execution_id)

    assert transport.sent.count(ALICE) == 1
    assert bench.funnel(execution_id)["optedOut"] == 1
    assert bench.funnel(execution_id)["sent"] == 1


def test_what_may_have_arrived_before_a_crash_stays_in_doubt_and_is_not_sent_again(
    bench: Bench,
) -> None:
    execution_id = bench.start()
    transport = OptsOut(bench, Outcome.IN_DOUBT)
    bench.change(transport=transport)
    bench.work()
    sql = "UPDATE deliveries SET state = 'claimed', settled_at = NULL WHERE user_id = %s"
    again = "UPDATE send_batches SET done_at = NULL, handed_out_at = NULL WHERE execution_id = %s"
    with bench.database.transaction() as connection:
        execute(connection, sql, (ALICE,))
        execute(connection, again, (execution_id,))
    tries = transport.sent.count(ALICE)

    bench.run(execution_id)

    assert transport.sent.count(ALICE) == tries
    states = {row["user_id"]: row["state"] for row in bench.deliveries(execution_id)}
    assert states[ALICE] == "in_doubt"


@pytest.mark.parametrize("name", [str(ALICE), str(ALICE).upper(), ALICE.hex])
def test_a_test_reaches_those_whom_the_automation_names_and_nobody_else(
    bench: Bench, name: str
) -> None:
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("ok-a", ALICE), Device("ok-b", BOB)], bench.now)
    opt_out(bench)

    bench.run(bench.start(Mode.TEST_LIVE_SEND, settings={"testUserIds": [name]}))

    assert reached(bench) == [str(ALICE)]


@pytest.mark.parametrize("mode", [Mode.REAL_DRY_RUN, Mode.SIMULATION])
def test_trials_count_them_too(bench: Bench, mode: Mode) -> None:
    opt_out(bench)

    assert bench.funnel(bench.run(bench.start(mode)).id)["optedOut"] == 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.REAL_DRY_RUN, {ALICE: "opted_out", BOB: "dry_run"}),
        (Mode.SIMULATION, {ALICE: "opted_out", BOB: "sent"}),
        (Mode.TEST_DRY_RUN, {BOB: "dry_run"}),
    ],
)
def test_a_trial_that_was_killed_leaves_nobody_in_doubt(
    bench: Bench, mode: Mode, expected: dict[UUID, str]
) -> None:
    execution_id = bench.start(mode, settings={"testUserIds": [str(BOB)]})
    page = LedgerPage(execution_id, 1, is_test=mode is Mode.TEST_DRY_RUN)
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("ok-b", BOB)], bench.now)
        claim_users(connection, page, {ALICE: None, BOB: None}, bench.now)
    opt_out(bench)

    bench.run(execution_id)

    with bench.database.transaction() as connection:
        states = fetch_all(connection, "SELECT user_id, state FROM deliveries")
    assert dict(states) == expected
