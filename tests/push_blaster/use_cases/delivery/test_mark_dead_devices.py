"""Whether the devices of a batch are marked as dead when the provider calls them so."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from push_blaster.adapters.devices.device_table import select_devices_of
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.executions.phase import Phase
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


def test_messages_to_such_devices_count_for_the_failure_rate(bench: Bench) -> None:
    _change(bench, _Provider(60))
    settings = {"safeguards": {"requireTestFirst": False, "alertThresholds": {"failureRate": 0.5}}}

    execution = bench.run(bench.start(parameters={"users": 60}, settings=settings))

    assert execution.phase is Phase.FAILED
    assert "failureRate" in (execution.reason or "")
