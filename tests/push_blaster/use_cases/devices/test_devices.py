"""Which devices an execution sends to: given, asked for, or registered; the newest, or all."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import orjson
import pytest

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_source import DeviceSource, SourceOptions
from push_blaster.adapters.devices.device_table import (
    mark_devices_dead,
    select_devices_of,
    upsert_devices,
)
from push_blaster.adapters.transports.vapid import Vapid, make_key_pair
from push_blaster.delivery_settings import DeliverySettings
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from push_blaster.domain.delivery.retry import RetryPolicy
from push_blaster.domain.executions.phase import Phase
from push_blaster.wiring import connect_transport
from tests.builders import NOON, died
from tests.fakes.browser import Browser
from tests.fakes.device_source import DeviceServer, run_device_server
from tests.fakes.post_receiver import run_post_receiver
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench


@pytest.fixture
def server(bench: Bench) -> Iterator[DeviceServer]:
    with run_device_server() as server:
        bench.change(device_source=DeviceSource(SourceOptions(url=server.url)))
        yield server


def an_audience(bench: Bench, *rows: str, header: str = "user_id,first_name") -> None:
    lines = "\n".join([header, *rows])
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({lines!r})"
    )


def register(bench: Bench, *devices: Device) -> None:
    with bench.database.transaction() as connection:
        upsert_devices(connection, devices, NOON)


def messages(bench: Bench) -> list[dict[str, Any]]:
    path = bench.folder / "messages.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def tokens(bench: Bench) -> list[str]:
    return sorted(message["deviceToken"] for message in messages(bench))


def states(bench: Bench, execution_id: str) -> dict[str, tuple[str, str | None]]:
    rows = bench.deliveries(execution_id)
    return {str(row["user_id"]): (row["state"], row["reason"]) for row in rows}


class DeadEnds:
    """A transport that knows dead devices by their name, and takes the others."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            is_dead = message.device_token.startswith("dead")
            outcome = Outcome.TOKEN_DEAD if is_dead else Outcome.SENT
            yield Delivery(message.user_id, outcome, reason="410" if is_dead else None)

    def check(self) -> None:
        """It is there."""

    def close(self) -> None:
        """There is nothing to let go of."""


class Cut(DeadEnds):
    """A transport that is gone after its third message; the second time it is well."""

    def __init__(self) -> None:
        self.took: list[str] = []
        self.is_well = False

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            if len(self.took) == 3 and not self.is_well:
                self.is_well = True
                raise TransportUnavailableError("the line is cut")
            self.took.append(str(message.user_id))
            yield Delivery(message.user_id, Outcome.SENT)


def test_the_device_seen_last_gets_a_push(bench: Bench) -> None:
    an_audience(bench, f"{ALICE},A")
    register(bench, Device("old", ALICE, last_seen_at=NOON.replace(hour=1)), Device("new", ALICE))

    bench.run(bench.start())

    assert tokens(bench) == ["new"]


def test_every_device_gets_it_where_that_is_asked_for_and_the_user_counts_once(
    bench: Bench,
) -> None:
    an_audience(bench, f"{ALICE},A")
    register(bench, Device("one", ALICE), Device("two", ALICE))

    execution = bench.run(bench.start(settings={"devices": "all"}))

    assert tokens(bench) == ["one", "two"]
    assert len({message["displayTag"] for message in messages(bench)}) == 1
    assert states(bench, execution.id) == {str(ALICE): ("sent", None)}
    assert bench.funnel(execution.id)["sent"] == 1


def test_a_user_with_a_dead_device_and_a_living_one_is_sent_to_and_the_dead_one_marked(
    bench: Bench,
) -> None:
    an_audience(bench, f"{ALICE},A", f"{BOB},B")
    register(bench, Device("dead-1", ALICE), Device("well", ALICE), Device("dead-2", BOB))
    bench.change(transport=DeadEnds())

    execution = bench.run(bench.start(settings={"devices": "all"}))

    assert states(bench, execution.id) == {
        str(ALICE): ("sent", None),
        str(BOB): ("token_dead", "410"),
    }
    with bench.database.transaction() as connection:
        dead = select_devices_of(connection, ALICE, dead=True)
        dead += select_devices_of(connection, BOB, dead=True)
    assert [(d.token, d.dead_reason) for d in dead] == [("dead-1", "410"), ("dead-2", "410")]


def test_one_push_reaches_browsers_webhooks_and_the_file(bench: Bench, tmp_path: Path) -> None:
    an_audience(bench, f"{ALICE},A", f"{BOB},B", f"{CAROL},C")
    browser = Browser()
    with run_post_receiver(tmp_path) as receiver:
        delivery = DeliverySettings(
            to_file=False,
            vapid=Vapid(make_key_pair()[0], "mailto:push@garden.test"),
            webhook_secret=b"thirty-two bytes of a secret key",
            push_hosts=["localhost"],
            private_networks=[ip_network("127.0.0.0/8"), ip_network("::1/128")],
            ca_file=receiver.ca_file,
        )
        bench.change(transport=connect_transport(delivery, tmp_path / "messages.jsonl"))
        keys = ".".join(browser.keys.values())
        register(
            bench,
            Device(receiver.url("ok/browser"), ALICE, "webpush", keys=keys),
            Device(receiver.url("ok/hook"), ALICE, "webhook"),
            Device(receiver.url("gone/hook"), BOB, "webhook"),
            Device("carols", CAROL, "file"),
        )

        execution = bench.run(bench.start(settings={"devices": "all"}))

    told = {user_id: state for user_id, (state, _) in states(bench, execution.id).items()}
    assert told == {str(ALICE): "sent", str(BOB): "token_dead", str(CAROL): "sent"}
    assert tokens(bench) == ["carols"]
    assert receiver.paths() == ["/gone/hook", "/ok/browser", "/ok/hook"]
    bodies = {request.path: request.body for request in receiver.received}
    tag = browser.read(bodies["/ok/browser"])["notification"]["tag"]
    assert orjson.loads(bodies["/ok/hook"])["displayTag"] == tag


def test_a_row_may_say_where_and_by_what_its_user_is_reached(bench: Bench) -> None:
    header = "user_id,first_name,device_token,device_kind"
    an_audience(bench, f"{ALICE},A,https://hook.test/a,webhook", f"{BOB},B,,", header=header)
    register(bench, Device("phone-a", ALICE), Device("phone-b", BOB))

    bench.run(bench.start())

    assert tokens(bench) == ["https://hook.test/a", "phone-b"]


def test_what_a_row_names_and_is_dead_gives_way_to_what_is_registered(bench: Bench) -> None:
    an_audience(bench, f"{ALICE},A,gone", header="user_id,first_name,device_token")
    register(bench, Device("phone", ALICE))
    with bench.database.transaction() as connection:
        mark_devices_dead(connection, [died("gone", "404")], NOON)

    bench.run(bench.start())

    assert tokens(bench) == ["phone"]


def test_the_source_is_asked_and_whom_it_does_not_know_is_looked_up(
    bench: Bench, server: DeviceServer
) -> None:
    an_audience(bench, f"{ALICE},A", f"{BOB},B")
    register(bench, Device("registered-a", ALICE), Device("registered-b", BOB))
    server.devices = [{"userId": str(ALICE), "token": "source-a"}]

    bench.run(bench.start())

    assert tokens(bench) == ["registered-b", "source-a"]


def test_a_source_that_fails_defers_its_users_and_is_asked_again(
    bench: Bench, server: DeviceServer
) -> None:
    an_audience(bench, f"{ALICE},A", f"{BOB},B")
    register(bench, Device("registered-a", ALICE))
    server.devices = [{"userId": str(ALICE), "token": "source-a"}]
    server.faults = ["503", "503"]

    execution_id = bench.start()
    bench.work()
    waiting = states(bench, execution_id)
    bench.run(execution_id)

    assert {state for state, _ in waiting.values()} == {"deferred"}
    assert states(bench, execution_id)[str(ALICE)] == ("sent", None)
    assert states(bench, execution_id)[str(BOB)] == ("no_token", "no living device token")
    assert tokens(bench) == ["source-a"]


def test_users_whom_a_source_cannot_tell_of_in_the_end_fail_with_its_reason(
    bench: Bench, server: DeviceServer
) -> None:
    an_audience(bench, f"{ALICE},A")
    register(bench, Device("registered-a", ALICE))
    server.faults = ["401"] * 100
    short = RetryPolicy(backoff=timedelta(seconds=1), budget=timedelta(seconds=5))
    bench.change(limits=replace(bench.context.limits, retry=short))

    execution = bench.run(bench.start())

    state, reason = states(bench, execution.id)[str(ALICE)]
    assert state == "failed"
    assert "given up after" in (reason or "")
    assert "the device source answered 401" in (reason or "")
    assert tokens(bench) == []


def test_a_device_of_the_source_that_died_is_left_out_until_it_is_seen_again(
    bench: Bench, server: DeviceServer
) -> None:
    an_audience(bench, f"{ALICE},A")
    server.devices = [{"userId": str(ALICE), "token": "dead-a"}]
    file = bench.context.transport
    bench.change(transport=DeadEnds())
    first = bench.run(bench.start())
    bench.change(transport=file)

    second = bench.run(bench.start(id="second"))
    later = bench.now.isoformat()
    server.devices = [{"userId": str(ALICE), "token": "dead-a", "updatedAt": later}]
    third = bench.run(bench.start(id="third"))

    told = [states(bench, e.id)[str(ALICE)][0] for e in (first, second, third)]
    assert told == ["token_dead", "no_token", "sent"]


def test_a_transport_that_breaks_off_costs_nobody_a_second_message(bench: Bench) -> None:
    cut = Cut()
    bench.change(transport=cut)

    execution = bench.run(bench.start())

    assert execution.phase is Phase.COMPLETED
    assert bench.funnel(execution.id)["sent"] == 10
    assert len(cut.took) == len(set(cut.took)) == 10
