"""A device that is registered while a send to its user is under way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from push_blaster.adapters.devices.device_csv import accept_device
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.use_cases.devices.import_devices import import_devices
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench


def register(bench: Bench, token: str, user: UUID) -> None:
    import_devices(bench.database, [accept_device(0, Device(token, user))], bench.now, is_live=True)


class Registers:
    """A transport that sends to Bob first; during this send, a phone registers itself."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile
        self.sent: list[tuple[UUID, str]] = []

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            self.sent.append((message.user_id, message.device_token))
            self.meanwhile()
            yield Delivery(message.user_id, Outcome.SENT)

    def check(self) -> None:
        """It is there."""

    def close(self) -> None:
        """There is nothing to let go of."""


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """Each batch has one user: devices are looked up when a batch begins."""
    bench.change(limits=replace(bench.context.limits, batch_size=1))
    rows = f"user_id,first_name\n{BOB},B\n{ALICE},A"
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({rows!r})"
    )
    register(bench, "phone-b", BOB)
    register(bench, "phone-a", ALICE)
    return bench


@pytest.mark.parametrize(
    ("token", "owner", "reached"),
    [
        ("phone-a", ALICE, [(BOB, "phone-b"), (ALICE, "phone-a")]),
        ("phone-b", BOB, [(BOB, "phone-b"), (ALICE, "phone-a")]),
        ("phone-a", CAROL, [(BOB, "phone-b")]),
        ("newer", ALICE, [(BOB, "phone-b"), (ALICE, "newer")]),
    ],
)
def test_each_user_gets_the_push_once_and_no_phone_another_users(
    bench: Bench, token: str, owner: UUID, reached: list[tuple[UUID, str]]
) -> None:
    transport = Registers(lambda: register(bench, token, owner))
    bench.change(transport=transport)

    execution = bench.run(bench.start())

    assert transport.sent == reached
    assert bench.funnel(execution.id)["sent"] == len(reached)
