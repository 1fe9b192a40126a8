"""Whether the devices of a batch are marked as dead when the provider calls them so."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from chassis.rows import fetch_all
from push_blaster.adapters.delivery.outcome_journal import JournalEntry, PageJournal
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import (
    delete_device,
    delete_devices_of,
    select_devices_of,
    upsert_devices,
)
from push_blaster.adapters.devices.doubted_devices import count_doubted
from push_blaster.adapters.executions.execution_removal import delete_execution
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.devices.device import Address, DeadDevice
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.delivery.mark_dead_devices import mark_doubted_devices
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.push_blaster.bench import Bench, violations

UNTESTED = {"safeguards": {"requireTestFirst": False}}


class _Provider:
    """Calls the devices of the first `dead` users dead, and takes the messages to the others.

    Shape: the first `busy` messages are deferred before that.
    """

    def __init__(self, dead: int, busy: int = 0) -> None:
        self._dead = dead
        self._busy = busy
        self._asked = 0

    def send(
        self, messages: Sequence[Message], _should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            yield self._answer(message)

    def _answer(self, message: Message) -> Delivery:
        if self._busy:
            self._busy -= 1
            return Delivery(message.user_id, Outcome.DEFERRED, reason="503")
        self._asked += 1
        if self._asked <= self._dead:
            return Delivery(message.user_id, Outcome.TOKEN_DEAD, reason="404: gone")
        return Delivery(message.user_id, Outcome.SENT)

    def check(self) -> None:
        """Nothing can be wrong."""

    def close(self) -> None:
        """Nothing is open."""


def _change(bench: Bench, provider: _Provider, batch_size: int = 500) -> None:
    limits = replace(bench.context.limits, batch_size=batch_size)
    bench.change(transport=provider, limits=limits)


def _marked(bench: Bench, execution_id: str) -> int:
    users = {delivery["user_id"] for delivery in bench.deliveries(execution_id)}
    with bench.database.transaction() as connection:
        return sum(len(select_devices_of(connection, user, dead=True)) for user in users)


@pytest.mark.parametrize(
    ("users", "dead", "marked"),
    [(20, 11, 0), (300, 299, 0), (20, 10, 10), (19, 18, 18)],
)
def test_a_provider_that_calls_most_devices_dead_is_not_believed(
    bench: Bench, users: int, dead: int, marked: int
) -> None:
    _change(bench, _Provider(dead))

    execution = bench.run(bench.start(parameters={"users": users}, settings=UNTESTED))

    assert execution.phase is Phase.COMPLETED, "the rest goes on"
    assert _marked(bench, execution.id) == marked
    states = [delivery["state"] for delivery in bench.deliveries(execution.id)]
    assert states.count("sent") == users - dead
    assert states.count("token_dead" if marked else "failed") == dead
    reasons = {d["reason"] for d in bench.deliveries(execution.id) if d["state"] != "sent"}
    assert reasons == {"404: gone"}
    assert violations(bench) == ([] if marked else [("many_dead_devices", "warning")])


def test_the_alert_says_how_many_and_why(bench: Bench) -> None:
    _change(bench, _Provider(15))

    execution = bench.run(bench.start(parameters={"users": 20}, settings=UNTESTED))

    log = bench.log(execution.id)
    assert "called the devices of 15 of 20 users in a batch of push 1 dead" in log
    assert "The first reason: 404: gone" in log
    assert f"POST /api/executions/{execution.id}/dead-devices" in log


def test_messages_to_such_devices_count_for_the_failure_rate(bench: Bench) -> None:
    _change(bench, _Provider(60))
    settings = {"safeguards": {"requireTestFirst": False, "alertThresholds": {"failureRate": 0.5}}}

    execution = bench.run(bench.start(parameters={"users": 60}, settings=settings))

    assert execution.phase is Phase.FAILED
    assert "failureRate" in (execution.reason or "")


def _states(bench: Bench, execution_id: str) -> Counter[str]:
    return Counter(delivery["state"] for delivery in bench.deliveries(execution_id))


def test_the_outcomes_of_all_attempts_at_a_batch_count(bench: Bench) -> None:
    """The first attempt has 12 outcomes, all dead; the second one has the other 13."""
    _change(bench, _Provider(dead=18, busy=13))

    execution = bench.run(bench.start(parameters={"users": 25}, settings=UNTESTED))

    assert _states(bench, execution.id) == {"failed": 18, "sent": 7}
    assert _marked(bench, execution.id) == 0
    assert "called the devices of 18 of 25 users in a batch" in bench.log(execution.id)


def test_a_second_attempt_of_dead_devices_only_is_no_batch_of_its_own(bench: Bench) -> None:
    """The first attempt sends to 30 users; the second one finds the 20 deferred devices dead."""
    _change(bench, _LateDeaths(deferred=20))

    execution = bench.run(bench.start(parameters={"users": 50}, settings=UNTESTED))

    assert _states(bench, execution.id) == {"token_dead": 20, "sent": 30}
    assert _marked(bench, execution.id) == 20


class _LateDeaths(_Provider):
    """Defers the first messages, and calls their devices dead when they are tried again."""

    def __init__(self, deferred: int) -> None:
        super().__init__(dead=0, busy=deferred)
        self._deferred: set[UUID] = set()

    def _answer(self, message: Message) -> Delivery:
        if message.user_id in self._deferred:
            return Delivery(message.user_id, Outcome.TOKEN_DEAD, reason="404: gone")
        answer = super()._answer(message)
        if answer.outcome is Outcome.DEFERRED:
            self._deferred.add(message.user_id)
        return answer


def test_a_batch_that_is_sent_in_turns_is_judged_as_a_whole(bench: Bench) -> None:
    _change(bench, _Provider(dead=40))
    settings = {**UNTESTED, "ratePerMinute": 60}

    execution = bench.run(bench.start(parameters={"users": 40}, settings=settings))

    assert _states(bench, execution.id) == {"failed": 40}
    assert _marked(bench, execution.id) == 0


@pytest.mark.parametrize(
    ("users", "dead", "batch_size", "doubted"),
    [
        (59, 59, 40, 59),  # the last batch has 19 users
        (100, 100, 10, 90),  # the second batch has 20 outcomes together with the first one
        (59, 19, 40, 0),
        (10, 10, 500, 0),
    ],
)
def test_a_small_batch_is_judged_together_with_the_batches_before_it(
    bench: Bench, users: int, dead: int, batch_size: int, doubted: int
) -> None:
    _change(bench, _Provider(dead), batch_size)

    execution = bench.run(bench.start(parameters={"users": users}, settings=UNTESTED))

    assert len(_doubted(bench, execution.id)) == doubted
    assert _marked(bench, execution.id) == dead - doubted
    assert _states(bench, execution.id)["failed"] == doubted


class _Killed(BaseException):
    """The engine dies here: nothing of ours runs any more."""


class _DeadUntilKilled(_Provider):
    """Calls every device dead, and dies with the engine after so many answers."""

    def __init__(self, answers: int) -> None:
        super().__init__(dead=answers)
        self._answers = answers

    def _answer(self, message: Message) -> Delivery:
        if self._asked == self._answers:
            raise _Killed
        return super()._answer(message)


def _kill(bench: Bench, users: int, answers: int) -> str:
    """Start a send whose engine is killed after so many answers; return the execution's id."""
    execution_id = bench.start(parameters={"users": users}, settings=UNTESTED)
    limits = replace(bench.context.limits, batch_size=1_000)
    bench.change(transport=_DeadUntilKilled(answers), limits=limits)
    with pytest.raises(_Killed):
        bench.run(execution_id)
    bench.change(transport=_Provider(dead=users), engine_id="other:2")
    return execution_id


def test_dead_answers_that_only_a_journal_has_obey_the_rule_too(bench: Bench) -> None:
    execution_id = _kill(bench, users=60, answers=0)
    dead = [
        Delivery(
            user_id,
            Outcome.TOKEN_DEAD,
            reason="404: gone",
            dead_devices=(DeadDevice(user_id, Address(f"journal-{user_id}"), "404: gone"),),
        )
        for user_id in (UUID(int=n) for n in range(1, 31))
    ]
    page = LedgerPage(execution_id, 1, is_test=False, batch=0)
    PageJournal(bench.folder, "killed:1", page).append(JournalEntry(bench.now, tuple(dead)))

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    # The others were called dead by a second attempt; the first one may have arrived.
    assert _states(bench, execution_id) == {"failed": 30, "in_doubt": 30}
    assert len(_doubted(bench, execution_id)) == 60
    assert _marked(bench, execution_id) == 0
    assert violations(bench) == [("many_dead_devices", "warning")]


def test_a_kill_between_two_halves_of_a_batch_hides_no_dead_device(bench: Bench) -> None:
    execution_id = _kill(bench, users=600, answers=500)
    assert _states(bench, execution_id) == {"token_dead": 500, "claimed": 100}

    bench.run(execution_id)

    assert _states(bench, execution_id) == {"failed": 500, "in_doubt": 100}
    assert len(_doubted(bench, execution_id)) == 600
    assert _marked(bench, execution_id) == 0


def test_a_stop_after_the_kill_of_an_engine_decides_about_the_devices_too(bench: Bench) -> None:
    execution_id = _kill(bench, users=600, answers=500)
    stop_execution(bench.database, execution_id, "enough", bench.now)
    bench.now += timedelta(seconds=10)

    close_batches(bench.context)

    assert _states(bench, execution_id) == {"failed": 500, "in_doubt": 100}
    assert len(_doubted(bench, execution_id)) == 500
    assert close_batches(bench.context) == 0


@pytest.mark.parametrize(("testers", "marked"), [(20, 0), (19, 19)])
def test_a_test_that_finds_most_devices_dead_obeys_the_rule_too(
    bench: Bench, testers: int, marked: int
) -> None:
    users = [UUID(int=n) for n in range(1, testers + 1)]
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device(f"phone-{user}", user) for user in users], bench.now)
    _change(bench, _Provider(dead=testers))
    settings = {
        "testUserIds": [str(user) for user in users],
        "safeguards": {"requireTestFirst": True},
    }

    execution = bench.run(bench.start(parameters={"users": testers}, settings=settings))

    assert execution.phase is Phase.FAILED
    with bench.database.transaction() as connection:
        dead = [select_devices_of(connection, user, dead=True) for user in users]
    assert sum(map(len, dead)) == marked
    assert len(_doubted(bench, execution.id)) == testers - marked


def _doubt(bench: Bench, dead: int = 11) -> str:
    """Run an execution of 20 users, `dead` of whose devices are called dead; return its id."""
    _change(bench, _Provider(dead))
    return bench.run(bench.start(parameters={"users": 20}, settings=UNTESTED)).id


def _doubted(bench: Bench, execution_id: str) -> list[tuple[str, UUID, str]]:
    sql = "SELECT token, user_id, reason FROM doubted_devices WHERE execution_id = %s"
    with bench.database.transaction() as connection:
        return fetch_all(connection, sql, (execution_id,))


def test_doubted_devices_are_kept_in_mind_until_somebody_marks_them_dead(bench: Bench) -> None:
    execution_id = _doubt(bench)
    doubted = _doubted(bench, execution_id)

    marked = [mark_doubted_devices(bench.database, execution_id) for _ in range(2)]

    failed = {d["user_id"] for d in bench.deliveries(execution_id) if d["state"] == "failed"}
    assert {user_id for _, user_id, _ in doubted} == failed
    assert {reason for *_, reason in doubted} == {"404: gone"}
    assert (len(doubted), marked) == (11, [11, 0])
    assert _marked(bench, execution_id) == 11
    assert _doubted(bench, execution_id) == []


class _OtherProject(_Provider):
    """Says of the first `foreign` devices that another project registered them."""

    def __init__(self, foreign: int, dead: int = 0, code: str = "403 SENDER_ID_MISMATCH") -> None:
        super().__init__(dead)
        self._foreign = foreign
        self._code = code

    def _answer(self, message: Message) -> Delivery:
        if self._foreign:
            self._foreign -= 1
            reason = f"{self._code}: the device registered with another project"
            return Delivery(message.user_id, Outcome.FAILED, reason=reason)
        return super()._answer(message)


@pytest.mark.parametrize(
    ("users", "foreign", "dead", "batch_size"),
    [(20, 1, 0, 500), (20, 20, 0, 500), (40, 30, 5, 500), (40, 10, 5, 500), (40, 30, 5, 10)],
)
def test_a_device_of_another_project_dies_only_by_an_operator(
    bench: Bench, users: int, foreign: int, dead: int, batch_size: int
) -> None:
    _change(bench, _OtherProject(foreign, dead), batch_size)

    execution = bench.run(bench.start(parameters={"users": users}, settings=UNTESTED))

    by_itself = _marked(bench, execution.id)
    assert (by_itself, len(_doubted(bench, execution.id))) == (dead, foreign)
    assert _states(bench, execution.id)["failed"] == foreign
    assert violations(bench) == [("devices_of_other_project", "warning")]
    assert mark_doubted_devices(bench.database, execution.id) == foreign
    assert _marked(bench, execution.id) == dead + foreign


@pytest.mark.parametrize(
    "code", ["400 DeviceTokenNotForTopic", "400 BadDeviceToken of most devices"]
)
def test_a_device_of_another_app_or_environment_of_apple_dies_only_by_an_operator(
    bench: Bench, code: str
) -> None:
    _change(bench, _OtherProject(foreign=10, dead=5, code=code))

    execution = bench.run(bench.start(parameters={"users": 40}, settings=UNTESTED))

    assert (_marked(bench, execution.id), len(_doubted(bench, execution.id))) == (5, 10)
    assert violations(bench) == [("devices_of_other_project", "warning")]


class _Apple(_Provider):
    """Says of every device that it is dead for three days, and of the first, when it was seen."""

    def __init__(self, bench: Bench, seen_ago: timedelta) -> None:
        super().__init__(dead=1)
        self._bench = bench
        self._seen_ago = seen_ago

    def _answer(self, message: Message) -> Delivery:
        answer = super()._answer(message)
        if answer.outcome is Outcome.SENT:
            return answer
        device = Device(message.device_token, message.user_id)
        with self._bench.database.transaction() as connection:
            upsert_devices(connection, [device], self._bench.now - self._seen_ago)
        return answer._replace(dead_since=self._bench.now - timedelta(days=3))


@pytest.mark.parametrize(("seen_days_ago", "marked"), [(2, 0), (4, 1)])
def test_a_device_that_was_registered_after_its_provider_calls_it_dead_stays_alive(
    bench: Bench, seen_days_ago: int, marked: int
) -> None:
    _change(bench, _Apple(bench, timedelta(days=seen_days_ago)))

    execution = bench.run(bench.start(parameters={"users": 20}, settings=UNTESTED))

    assert _marked(bench, execution.id) == marked
    assert _states(bench, execution.id) == {"sent": 19, "token_dead": 1}


def test_devices_of_another_project_do_not_make_dead_ones_more_credible(bench: Bench) -> None:
    _change(bench, _OtherProject(foreign=10, dead=25))

    execution = bench.run(bench.start(parameters={"users": 40}, settings=UNTESTED))

    assert _marked(bench, execution.id) == 0
    assert len(_doubted(bench, execution.id)) == 35
    assert sorted(kind for kind, _ in violations(bench)) == [
        "devices_of_other_project",
        "many_dead_devices",
    ]


def test_devices_that_are_believed_dead_are_not_doubted(bench: Bench) -> None:
    execution_id = _doubt(bench, dead=10)

    assert _doubted(bench, execution_id) == []
    assert mark_doubted_devices(bench.database, execution_id) == 0


def test_a_device_that_was_registered_again_since_the_doubt_stays_alive(bench: Bench) -> None:
    execution_id = _doubt(bench)
    token, user_id, _ = _doubted(bench, execution_id)[0]
    later = bench.now + timedelta(minutes=1)
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device(token, user_id)], later)

    assert mark_doubted_devices(bench.database, execution_id) == 10

    with bench.database.transaction() as connection:
        (alive,) = select_devices_of(connection, user_id)
    assert (alive.token, alive.dead_at) == (token, None)
    assert _doubted(bench, execution_id) == []


def test_a_doubt_goes_with_its_device_its_user_and_its_execution(bench: Bench) -> None:
    execution_id = _doubt(bench)
    (token, _, _), (_, user_id, _) = _doubted(bench, execution_id)[:2]
    left = []

    with bench.database.transaction() as connection:
        delete_device(connection, token)
        left.append(count_doubted(connection, execution_id))
        delete_devices_of(connection, user_id)
        left.append(count_doubted(connection, execution_id))
        assert delete_execution(connection, execution_id, [Mode.LIVE])
        left.append(count_doubted(connection, execution_id))

    assert left == [10, 9, 0]
