"""Pushes are made ready before their instant, and begin together at it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute, fetch_value
from push_blaster.adapters.delivery.pacing import TokenBucket
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import delete_device, upsert_devices
from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.adapters.executions.suspensions import reopen_execution
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.adapters.operations.execution_stops import insert_unseen_stop
from push_blaster.adapters.operations.stop_requests import StopRequest, insert_request
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from push_blaster.domain.executions.execution import PushStatus
from push_blaster.domain.executions.phase import GOING_LIVE, RUNNING, Phase
from push_blaster.use_cases.delivery.send_first import send_first_messages
from push_blaster.use_cases.executions.make_ready import ReadySend, make_ready
from push_blaster.use_cases.executions.ready_sends import ReadySends, choose_group
from push_blaster.use_cases.executions.send_together import (
    begin_pushes,
    begin_within,
    send_together,
)
from push_blaster.use_cases.executions.stop_execution import (
    cancel_execution,
    end_stopped_executions,
    stop_execution,
    suspend_execution,
)
from tests.builders import NOON
from tests.push_blaster.bench import Bench, daily, messages
from tests.push_blaster.cadence_support import AWAY, history

T = NOON + timedelta(minutes=30)
SOON = T - timedelta(seconds=20)
SECOND = timedelta(seconds=1)


class _Engine:
    """The ready sends of one engine; the test says when they look, and when they go."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ready = ReadySends(bench.context)

    def make_ready(self) -> None:
        self.bench.now = SOON
        self.ready.make()

    def go(self) -> None:
        self.ready.go()
        self.ready.close()


@pytest.fixture
def engine(bench: Bench) -> Iterator[_Engine]:
    made = _Engine(bench)
    yield made
    made.ready.close()


def _in_window(bench: Bench, first: int = 1, users: int = 10, **changes: Any) -> str:
    """Return an execution whose live send begins at T."""
    bench.now = T - timedelta(minutes=10)
    parameters = {"first": first, "users": users}
    name = f"news-{first}-{len(bench.executions())}"
    (execution_id,) = bench.tick(daily(id=name, parameters=parameters, **changes))
    bench.work()
    assert bench.execution(execution_id).phase is Phase.CANCELLATION_WINDOW
    return execution_id


def _made_ready(bench: Bench, *execution_ids: str) -> list[ReadySend]:
    bench.now = SOON
    made = [make_ready(bench.context, bench.execution(one)) for one in execution_ids]
    return [one for one in made if one]


def _users(bench: Bench) -> Counter[str]:
    return Counter(message["userId"] for message in messages(bench))


def _dispatch_usually(bench: Bench) -> list[str]:
    with bench.database.transaction() as connection:
        again_before = bench.now - timedelta(seconds=5)
        return dispatch_executions(connection, bench.now, again_before, GOING_LIVE)


def test_pushes_that_are_due_together_begin_by_one_go(
    bench: Bench, engine: _Engine, cadence_database: Database
) -> None:
    executions = [_in_window(bench, first=100 * n, users=10) for n in range(1, 6)]

    engine.make_ready()
    bench.now = T - timedelta(milliseconds=1)
    engine.ready.go()
    assert messages(bench) == [], "never before T"
    bench.now = T
    engine.go()

    assert len(messages(bench)) == 50
    begun = [bench.execution(one) for one in executions]
    assert {e.phase for e in begun} == {Phase.LIVE_EXECUTION}
    assert {(p.status, p.due_at, p.started_at) for e in begun for p in e.pushes} == {
        (PushStatus.SENDING, T, T)
    }
    assert {p.first_message_at for e in begun for p in e.pushes} == {T}
    assert [bench.run(one).phase for one in executions] == [Phase.COMPLETED] * 5
    assert set(_users(bench).values()) == {1}
    assert bench.funnel(executions[0])["sent"] == 10
    assert history(cadence_database) == [(3, T, 50)]


def test_a_ready_push_is_left_alone_until_some_seconds_after_its_instant(
    bench: Bench, engine: _Engine
) -> None:
    execution_id = _in_window(bench)

    engine.make_ready()
    bench.now = T + 4 * SECOND
    assert _dispatch_usually(bench) == []
    bench.now = T + 6 * SECOND

    assert _dispatch_usually(bench) == [execution_id]


@pytest.mark.parametrize("users", [21, 45])
def test_the_first_messages_go_first_and_the_rest_follows(
    bench: Bench, engine: _Engine, users: int
) -> None:
    execution_id = _in_window(bench, users=users)

    engine.make_ready()
    bench.now = T
    engine.go()
    assert len(messages(bench)) == 20
    bench.run(execution_id)

    assert len(_users(bench)) == users
    assert set(_users(bench).values()) == {1}
    assert bench.funnel(execution_id)["sent"] == users


def test_an_engine_that_dies_before_the_instant_loses_nothing(
    bench: Bench, engine: _Engine, cadence_database: Database
) -> None:
    """The slots that it reserved are found by the engine that sends."""
    execution_id = _in_window(bench)

    engine.make_ready()
    bench.now = T + 6 * SECOND
    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert bench.funnel(execution_id)["sent"] == 10
    assert history(cadence_database) == [(3, T, 10)]
    with cadence_database.transaction() as connection:
        assert fetch_value(connection, "SELECT count(*) FROM held_slots") == 0


def test_an_engine_that_dies_before_an_instant_that_is_long_past_loses_nothing(
    bench: Bench, engine: _Engine, cadence_database: Database
) -> None:
    execution_id = _in_window(bench)

    engine.make_ready()
    bench.now = T + timedelta(minutes=20)
    with cadence_database.transaction() as connection:  # so long that the slots have run out
        execute(connection, "UPDATE reservations SET expires_at = now() - interval '1 minute'")
    bench.run(execution_id)

    assert bench.funnel(execution_id)["sent"] == 10
    assert history(cadence_database) == [(3, T + timedelta(minutes=20), 10)]


def test_an_engine_that_dies_after_the_claim_leaves_messages_in_doubt_only(bench: Bench) -> None:
    execution_id = _in_window(bench)
    ready = _made_ready(bench, execution_id)

    bench.now = T
    begin_pushes(bench.context, ready)
    assert messages(bench) == []
    bench.now = T + 6 * SECOND
    bench.run(execution_id)

    assert set(_users(bench).values()) == {1}
    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["resentInDoubt"]) == (10, 10)


def test_two_engines_share_the_pushes_and_send_each_once(bench: Bench, engine: _Engine) -> None:
    executions = [_in_window(bench, first=100 * n) for n in range(1, 4)]
    other = _Engine(bench)

    engine.make_ready()
    other.make_ready()
    bench.now = T
    other.go()
    engine.go()
    for execution_id in executions:
        bench.run(execution_id)

    assert len(_users(bench)) == 30
    assert set(_users(bench).values()) == {1}


def test_pushes_to_the_same_users_all_begin(bench: Bench, engine: _Engine) -> None:
    executions = [_in_window(bench, users=3, pushes=[{"layerId": 1}]) for _ in range(3)]

    engine.make_ready()
    bench.now = T
    engine.go()

    assert set(_users(bench).values()) == {3}
    assert all(bench.execution(one).phase is Phase.LIVE_EXECUTION for one in executions)
    assert all(bench.run(one).phase is Phase.COMPLETED for one in executions)
    assert set(_users(bench).values()) == {3}


def test_hundreds_of_pushes_go_in_several_groups(bench: Bench) -> None:
    """Each keeps a journal open, and an engine may open 1,024 files on some machines."""
    (made,) = _made_ready(bench, _in_window(bench, users=1))
    many = [
        replace(
            made,
            after=replace(made.after, id=f"push-{n}"),
            messages=[made.messages[0]._replace(user_id=UUID(int=n))],
        )
        for n in range(250)
    ]

    groups = [choose_group(many[begin:]) for begin in (0, 100, 200)]

    assert [len(group) for group in groups] == [100, 100, 50]


def test_many_pushes_to_the_same_users_go_in_few_groups(bench: Bench) -> None:
    """Else each push would wait for the answers of the provider to the pushes before it."""
    (made,) = _made_ready(bench, _in_window(bench, users=20))
    many = [replace(made, after=replace(made.after, id=f"push-{n}")) for n in range(300)]

    group = choose_group(many)

    users = Counter(message.user_id for one in group for message in one.messages)
    assert len({one.after.id for one in group}) == 20
    assert (len(users), set(users.values())) == (20, {1})


def test_slots_are_reserved_once_for_a_user_of_two_ready_pushes(
    bench: Bench, engine: _Engine, cadence_database: Database
) -> None:
    executions = [_in_window(bench, users=3) for _ in range(2)]

    engine.make_ready()
    bench.now = T
    engine.go()
    for execution_id in executions:
        bench.run(execution_id)

    assert set(_users(bench).values()) == {1}
    assert history(cadence_database) == [(3, T, 3)]


def _cancel(bench: Bench, execution_id: str) -> None:
    cancel_execution(bench.database, execution_id, "no", bench.now)


def _stop_unseen(bench: Bench, execution_id: str) -> None:
    """Stop it by a row of its own, as while others have locked its row."""
    with bench.database.transaction() as connection:
        insert_unseen_stop(connection, execution_id, (Phase.CANCELLED, "no"), bench.now)


def _request_stop(bench: Bench, execution_id: str) -> None:
    """Stop it by a request, as while others have locked the whole table."""
    request = StopRequest(
        phases=RUNNING, reason="no", asked_at=bench.now, automation_id=execution_id.split("@")[0]
    )
    with bench.database.transaction() as connection:
        insert_request(connection, request)


Stop = Callable[[Bench, str], None]


@pytest.mark.parametrize("stop", [_cancel, _stop_unseen, _request_stop])
def test_what_is_stopped_before_its_instant_does_not_begin(
    bench: Bench, engine: _Engine, stop: Stop
) -> None:
    stopped, other = _in_window(bench), _in_window(bench, first=100)

    engine.make_ready()
    stop(bench, stopped)
    bench.now = T
    engine.go()

    assert {UUID(user).int for user in _users(bench)} == set(range(100, 110))
    assert bench.run(other).phase is Phase.COMPLETED


def test_slots_of_a_stopped_push_are_free_again(
    bench: Bench, engine: _Engine, cadence_database: Database
) -> None:
    stopped = _in_window(bench)

    engine.make_ready()
    cancel_execution(bench.database, stopped, "no", bench.now)
    engine.ready.make()

    with cadence_database.transaction() as connection:
        assert fetch_value(connection, "SELECT count(*) FROM held_slots") == 0
    other = _in_window(bench)
    bench.now = T
    bench.run(other)
    assert bench.funnel(other)["sent"] == 10


@pytest.mark.parametrize("stop", [_stop_unseen, _request_stop])
def test_a_stop_between_the_claim_and_the_send_gives_the_messages_back(
    bench: Bench, stop: Stop
) -> None:
    stopped, other = _in_window(bench), _in_window(bench, first=100)
    ready = _made_ready(bench, stopped, other)

    bench.now = T
    firsts = begin_pushes(bench.context, ready)
    stop(bench, stopped)
    send_first_messages(bench.context, firsts)

    assert {UUID(user).int for user in _users(bench)} == set(range(100, 110))
    assert bench.deliveries(stopped) == []
    assert bench.run(other).phase is Phase.COMPLETED


def test_a_stop_while_pushes_begin_is_a_stop(bench: Bench) -> None:
    """The transaction that begins them may stand still, and end after the stop has answered."""
    executions = [_in_window(bench, first=100 * n, users=2) for n in (1, 2)]
    ready = _made_ready(bench, *executions)
    bench.now = T
    connection = bench.database.connect()
    try:
        firsts = begin_within(connection, "engine", ready, bench.now)
        assert len(firsts) == 2
        for execution_id in executions:
            receipt = stop_execution(bench.database, execution_id, "no", bench.now)
            assert receipt.execution.is_stopping
        connection.commit()
    finally:
        connection.close()

    send_first_messages(bench.context, firsts)
    end_stopped_executions(bench.database, bench.now)

    assert messages(bench) == []
    assert [bench.execution(one).phase for one in executions] == [Phase.CANCELLED] * 2


class _PatientTransport(FileTransport):
    """Sends after a second, unless it should stop before."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        until = time.monotonic() + 1
        while time.monotonic() < until and not should_stop():
            time.sleep(0.05)
        yield from super().send(messages, should_stop)


def test_a_stop_before_the_send_cuts_off_no_message_of_another(bench: Bench) -> None:
    stopped, other = _in_window(bench), _in_window(bench, first=100)
    ready = _made_ready(bench, stopped, other)
    patient = _PatientTransport(bench.folder / "messages.jsonl")

    bench.now = T
    firsts = begin_pushes(bench.context, ready)
    _stop_unseen(bench, stopped)
    send_first_messages(replace(bench.context, transport=patient), firsts)

    assert {UUID(user).int for user in _users(bench)} == set(range(100, 110))
    assert {d["state"] for d in bench.deliveries(other)} == {"sent"}


def test_a_push_that_is_paused_and_resumed_before_its_instant_goes_out_once(
    bench: Bench, engine: _Engine
) -> None:
    execution_id = _in_window(bench)
    engine.make_ready()
    suspend_execution(bench.database, execution_id, "paused", bench.now)
    with bench.database.transaction() as connection:
        document = fetch_value(
            connection, "SELECT snapshot FROM executions WHERE id = %s", (execution_id,)
        )
        assert reopen_execution(connection, execution_id, document, bench.now)
    engine.ready.make()
    bench.now = T
    engine.go()
    bench.run(execution_id)

    assert set(_users(bench).values()) == {1}
    assert bench.funnel(execution_id)["sent"] == 10


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM executions WHERE id = %s FOR UPDATE",
        "UPDATE execution_pushes SET source_file = 'x' WHERE execution_id = %s",
    ],
    ids=["execution", "push"],
)
def test_a_locked_row_keeps_no_other_push_waiting(bench: Bench, engine: _Engine, sql: str) -> None:
    locked, *_ = [_in_window(bench, first=100 * n, users=2) for n in range(1, 5)]
    engine.make_ready()
    bench.now = T
    connection = bench.database.connect()
    try:
        execute(connection, sql, (locked,))
        engine.go()
    finally:
        connection.rollback()
        connection.close()

    assert len(messages(bench)) == 6
    bench.run(locked)
    assert len(messages(bench)) == 8


def test_a_device_that_is_forgotten_meanwhile_gets_nothing(bench: Bench, engine: _Engine) -> None:
    bench.write_script("""
import os, uuid
with open(os.path.join(os.environ["OUTPUT_PATH"], "all.csv"), "w") as f:
    print("user_id,first_name", f"{uuid.UUID(int=1)},A", f"{uuid.UUID(int=2)},B", sep="\\n", file=f)
""")
    with bench.database.transaction() as connection:
        devices = [Device(token=f"phone-{n}", user_id=UUID(int=n), kind="fcm") for n in (1, 2)]
        upsert_devices(connection, devices, NOON)
    execution_id = _in_window(bench)

    engine.make_ready()
    with bench.database.transaction() as connection:
        delete_device(connection, "phone-1")
    bench.now = T
    engine.go()
    bench.run(execution_id)

    assert [m["deviceToken"] for m in messages(bench)] == ["phone-2"]
    assert bench.funnel(execution_id)["sent"] == 1


def test_a_push_that_could_not_begin_in_time_begins_as_usual(bench: Bench, engine: _Engine) -> None:
    execution_id = _in_window(bench)

    engine.make_ready()
    bench.now = T + 5 * SECOND
    engine.go()
    assert messages(bench) == []

    assert _dispatch_usually(bench) == [execution_id]
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert set(_users(bench).values()) == {1}


def test_nothing_goes_while_the_clocks_disagree(bench: Bench) -> None:
    execution_id = _in_window(bench)
    held: list[bool] = []
    ready = ReadySends(bench.context, holds=lambda: bool(held))
    bench.now = SOON
    ready.make()
    held.append(True)
    bench.now = T

    ready.go()
    ready.close()

    assert messages(bench) == []
    assert bench.run(execution_id).phase is Phase.COMPLETED


class _AwayTransport:
    def send(self, *_: object) -> Iterator[Any]:
        raise TransportUnavailableError("no network")
        yield

    def check(self) -> None: ...

    def close(self) -> None: ...


def test_a_provider_that_is_away_loses_nothing(bench: Bench) -> None:
    execution_id = _in_window(bench)
    engine = _Engine(replace(bench, context=replace(bench.context, transport=_AwayTransport())))
    bench.now = SOON
    engine.ready.make()
    bench.now = T
    engine.go()

    assert bench.deliveries(execution_id) == []
    assert bench.context.pacer.describe()["fault"] == "no network"
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert set(_users(bench).values()) == {1}
    assert bench.funnel(execution_id)["sent"] == 10


class _LosingTransport(FileTransport):
    """Sends three messages, loses the answer of the second, and then fails in one of two ways."""

    def __init__(self, bench: Bench, fault: Exception) -> None:
        super().__init__(bench.folder / "messages.jsonl")
        self._fault = fault

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for number, delivery in enumerate(super().send(messages[:3], should_stop), 1):
            yield Delivery(delivery.user_id, Outcome.IN_DOUBT) if number == 2 else delivery
        raise self._fault


@pytest.mark.parametrize(
    ("policy", "fault", "counted"),
    [
        ("skip", TransportUnavailableError("the account is closed"), (9, 1, 0)),
        ("skip", OverflowError("too large"), (2, 8, 0)),
        ("resend", TransportUnavailableError("the account is closed"), (10, 0, 1)),
    ],
)
def test_a_message_without_an_answer_stays_in_doubt_whatever_fails_after_it(
    bench: Bench, policy: str, fault: Exception, counted: tuple[int, int, int]
) -> None:
    execution_id = _in_window(bench, settings={"inDoubt": policy})
    losing = replace(bench.context, transport=_LosingTransport(bench, fault))
    engine = _Engine(replace(bench, context=losing))
    bench.now = SOON
    engine.ready.make()
    bench.now = T
    engine.go()
    bench.run(execution_id)

    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["inDoubt"], funnel["resentInDoubt"]) == counted
    assert max(_users(bench).values()) == 1 + (policy == "resend")


def test_a_connection_that_breaks_at_one_push_loses_no_message_of_another(bench: Bench) -> None:
    """The pushes are begun in parts, and the first part has begun when the connection breaks."""
    policy = {"settings": {"inDoubt": "skip"}}
    executions = [_in_window(bench, first=100 * n, users=2, **policy) for n in range(1, 5)]
    ready = _made_ready(bench, *executions)
    with bench.database.transaction() as connection:
        sql = """
            CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.execution_id = TG_ARGV[0] THEN RAISE 'refused';
                ELSIF NEW.execution_id = TG_ARGV[1] THEN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                END IF;
                RETURN NEW;
            END $$;
        """
        execute(connection, sql)
        trigger = """
            CREATE TRIGGER hinder BEFORE INSERT ON execution_phases
               FOR EACH ROW EXECUTE FUNCTION hinder(%s, %s)
        """
        execute(connection, trigger, (executions[1], executions[3]))
    bench.now = T

    send_together(bench.context, [ready[0], ready[1], ready[3]])
    with bench.database.transaction() as connection:
        execute(connection, "DROP TRIGGER hinder ON execution_phases; DROP FUNCTION hinder")

    assert {UUID(user).int for user in _users(bench)} == {100, 101}
    for execution_id in executions:
        bench.run(execution_id)
    assert [bench.funnel(one)["sent"] for one in executions] == [2, 2, 2, 2]


def test_what_only_a_newer_engine_can_read_is_left_to_it_at_its_instant(
    bench: Bench, engine: _Engine
) -> None:
    execution_id = _in_window(bench)
    with bench.database.transaction() as connection:
        sql = """
            UPDATE executions SET snapshot = jsonb_set(snapshot, '{settings,failPolicy}', '"ask"')
             WHERE id = %s
        """
        execute(connection, sql, (execution_id,))

    engine.make_ready()
    bench.now = T

    assert _dispatch_usually(bench) == [execution_id]


def test_an_engine_that_ends_makes_nothing_ready(bench: Bench, engine: _Engine) -> None:
    execution_id = _in_window(bench)
    bench.is_shutting_down = lambda: True

    engine.make_ready()
    bench.now = T

    assert _dispatch_usually(bench) == [execution_id]


def test_an_engine_that_ends_leaves_ready_pushes_at_once(bench: Bench) -> None:
    """Its workers may still be busy for seconds, in which another engine can begin them on time."""
    execution_id = _in_window(bench)
    ready = ReadySends(bench.context)
    bench.now = SOON
    try:
        ready.start()
        _wait_until(lambda: _is_taken(bench, execution_id))
    finally:
        bench.is_shutting_down = lambda: True

    _wait_until(lambda: not _is_taken(bench, execution_id))
    bench.now = T
    assert _dispatch_usually(bench) == [execution_id]


def _is_taken(bench: Bench, execution_id: str) -> bool:
    with bench.database.transaction() as connection:
        sql = "SELECT handed_out_at = due_at FROM executions WHERE id = %s"
        return bool(fetch_value(connection, sql, (execution_id,)))


def _wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


class _SlowTransport(FileTransport):
    """Sends when the engine ends, as a provider that answers a moment after the stop."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.folder / "messages.jsonl")
        self.has_begun = threading.Event()

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        self.has_begun.set()
        _wait_until(should_stop)
        time.sleep(0.3)
        yield from super().send(messages, lambda: False)


def test_an_engine_that_ends_waits_for_first_messages_in_flight(bench: Bench) -> None:
    execution_id = _in_window(bench)
    slow = _SlowTransport(bench)
    engine = _Engine(replace(bench, context=replace(bench.context, transport=slow)))
    bench.now = SOON
    engine.ready.make()
    bench.now = T
    engine.ready.go()
    assert slow.has_begun.wait(20)

    bench.is_shutting_down = lambda: True
    engine.ready.close()

    assert {d["state"] for d in bench.deliveries(execution_id)} == {"sent"}


@pytest.mark.parametrize(
    "settings",
    [
        {"ratePerMinute": 60},
        {"quietHours": {"start": "23:00", "end": "23:30"}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_push_with_times_or_a_rate_of_its_own_begins_as_usual(
    bench: Bench, engine: _Engine, settings: dict[str, Any]
) -> None:
    execution_id = _in_window(bench, users=3, settings=settings)

    engine.make_ready()
    bench.now = T
    engine.go()

    assert messages(bench) == []
    assert _dispatch_usually(bench) == [execution_id]


def test_a_push_that_waits_for_a_whole_window_begins_as_usual(
    bench: Bench, engine: _Engine
) -> None:
    """Its slots could not be found again if it began even later."""
    execution_id = _in_window(bench, users=3, settings={"cancellationWindowMinutes": 20})
    late = T + timedelta(minutes=10)
    assert bench.execution(execution_id).live_at == late

    bench.now = late - 20 * SECOND
    engine.ready.make()
    bench.now = late
    engine.go()

    assert messages(bench) == []
    assert _dispatch_usually(bench) == [execution_id]


def test_a_push_is_not_made_ready_while_cadence_is_away(bench: Bench) -> None:
    execution_id = _in_window(bench)
    away = replace(bench, context=replace(bench.context, cadence=AWAY))
    engine = _Engine(away)
    bench.now = SOON
    engine.ready.make()
    bench.now = T
    engine.go()

    assert messages(bench) == []
    bench.run(execution_id)
    assert bench.execution(execution_id).uncapped_reason is None
    assert bench.funnel(execution_id)["sent"] == 10


def test_no_push_is_made_ready_beside_an_engine_of_an_older_version(
    bench: Bench, engine: _Engine
) -> None:
    """The older engine would ask for the rest of a batch under another key."""
    execution_id = _in_window(bench)
    with bench.database.transaction() as connection:
        sql = "INSERT INTO engines (id, started_at, seen_at, alive_at) VALUES ('old', %s, %s, %s)"
        execute(connection, sql, [utc_now()] * 3)
        beat(connection, "new", utc_now(), utc_now())

    engine.make_ready()
    bench.now = T
    engine.go()

    assert messages(bench) == []
    assert _dispatch_usually(bench) == [execution_id]


def test_the_second_push_of_a_sequence_is_made_ready_too(bench: Bench, engine: _Engine) -> None:
    pushes = [{"layerId": 1}, {"layerId": 1, "timing": {"delayAfterPrevious": 45}}]
    execution_id = _in_window(bench, pushes=pushes)
    bench.now = T
    bench.work()
    bench.now = T + SECOND
    bench.work()
    assert len(messages(bench)) == 10
    second = T + timedelta(minutes=45)

    bench.now = second - 20 * SECOND
    engine.ready.make()
    bench.now = second
    engine.go()

    assert len(messages(bench)) == 20
    assert bench.execution(execution_id).pushes[1].started_at == second
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert set(_users(bench).values()) == {2}


def test_first_messages_keep_the_rate_of_the_engine(bench: Bench) -> None:
    for n in (1, 2, 3):
        _in_window(bench, first=100 * n, users=2)
    per_second = 8
    slow = TokenBucket(per_second * 60)
    engine = _Engine(replace(bench, context=replace(bench.context, pacer=slow)))
    bench.now = SOON
    engine.ready.make()
    bench.now = T
    begun_at = time.monotonic()
    engine.go()

    assert len(messages(bench)) == 6
    assert time.monotonic() - begun_at > 3 / per_second, "two at once, and the others in turn"
