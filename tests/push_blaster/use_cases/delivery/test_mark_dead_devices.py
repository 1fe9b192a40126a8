"""Whether the devices of a batch are marked as dead when the provider calls them so."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from chassis.rows import fetch_all
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import (
    delete_device,
    delete_devices_of,
    select_devices_of,
    upsert_devices,
)
from push_blaster.adapters.devices.doubted_devices import count_doubted
from push_blaster.adapters.executions.execution_removal import delete_execution
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.mark_dead_devices import mark_doubted_devices
from tests.push_blaster.bench import Bench, violations

UNTESTED = {"safeguards": {"requireTestFirst": False}}


class _Provider:
    """Calls the devices of the first `dead` users dead, and takes the messages to the others."""

    def __init__(self, dead: int) -> None:
        self._dead = dead
        self._asked = 0

    def send(
        self, messages: Sequence[Message], _should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            self._asked += 1
            is_dead = self._asked <= self._dead
            outcome = Outcome.TOKEN_DEAD if is_dead else Outcome.SENT
            yield Delivery(message.user_id, outcome, reason="404: gone" if is_dead else None)

    def check(self) -> None:
        """Nothing can be wrong."""

    def close(self) -> None:
        """Nothing is open."""


def _change(bench: Bench, provider: _Provider) -> None:
    limits = replace(bench.context.limits, batch_size=500)
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
