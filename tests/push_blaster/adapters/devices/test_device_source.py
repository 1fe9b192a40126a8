import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from push_blaster.adapters.devices.device_source import DeviceSource, SourceOptions
from tests.builders import NOON
from tests.fakes.device_source import DeviceServer, run_device_server
from tests.people import ALICE, BOB, CAROL

QUERY = "query($ids: [uuid!]!) { users(where: {id: {_in: $ids}}) { id tokens { token at } } }"


@pytest.fixture
def server() -> Iterator[DeviceServer]:
    with run_device_server() as server:
        yield server


@pytest.fixture
def options(server: DeviceServer) -> SourceOptions:
    return SourceOptions(
        url=server.url, headers={"X-Admin-Secret": "s3cret"}, timeout=timedelta(seconds=0.3)
    )


def a_device(user_id: UUID, token: str, **fields: Any) -> dict[str, Any]:
    return {"userId": str(user_id), "token": token, **fields}


def test_devices_are_found_by_rest_the_newest_first(
    server: DeviceServer, options: SourceOptions
) -> None:
    server.devices = [
        a_device(ALICE, "old", updatedAt="2026-10-01T00:00:00Z", platform="ios"),
        a_device(ALICE, "new", updatedAt="2026-10-02T00:00:00Z", kind="fid"),
        a_device(ALICE, "undated"),
        a_device(BOB, "https://hook.test/b", kind="webhook"),
    ]

    found = DeviceSource(options).find([ALICE, BOB, CAROL], NOON)

    assert [d.token for d in found.devices[ALICE]] == ["new", "old", "undated"]
    assert [d.kind for d in found.devices[ALICE]] == ["fid", "fcm", "fcm"]
    assert found.devices[BOB][0].kind == "webhook"
    assert CAROL not in found.devices
    assert found.unknown == {}
    assert server.bodies == [{"userIds": [str(ALICE), str(BOB), str(CAROL)]}]
    assert server.secrets == ["s3cret"]


def test_devices_are_found_by_a_query_of_ones_own_in_graphql(
    server: DeviceServer, options: SourceOptions
) -> None:
    server.devices = [a_device(ALICE, "phone", updatedAt="2026-10-01T00:00:00Z")]
    fields = {"userId": "id", "token": "tokens.0.token", "lastSeenAt": "tokens.0.at"}
    graphql = replace(options, query=QUERY, list_path="data.users", fields=fields)

    found = DeviceSource(graphql).find([ALICE, BOB], NOON)

    ((device,),) = found.devices.values()
    assert (device.user_id, device.token) == (ALICE, "phone")
    assert device.last_seen_at is not None
    assert server.bodies == [{"query": QUERY, "variables": {"ids": [str(ALICE), str(BOB)]}}]


def test_users_are_asked_for_in_batches(server: DeviceServer, options: SourceOptions) -> None:
    users = [UUID(int=n) for n in range(1, 251)]
    server.devices = [a_device(user_id, f"t{user_id}") for user_id in users]

    found = DeviceSource(options).find(users, NOON)

    assert [len(ids) for ids in server.asked] == [100, 100, 50]
    assert set(found.devices) == set(users)


@pytest.mark.parametrize("fault", ["500", "503", "429", "slow", "nonsense", "errors"])
def test_what_may_pass_is_asked_again_once(
    server: DeviceServer, options: SourceOptions, fault: str
) -> None:
    server.devices = [a_device(ALICE, "phone")]
    server.faults = [fault]

    found = DeviceSource(options).find([ALICE], NOON)

    assert found.devices[ALICE][0].token == "phone"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (["500", "500"], "answered 500"),
        (["slow", "slow"], "gave no answer (read timeout)"),
        (["nonsense", "nonsense"], "answered no JSON"),
        (["errors", "errors"], "permission denied"),
        (["401"], "answered 401"),
        (["302"], "answered 302"),
        (["empty"], "without a list under 'devices'"),
    ],
)
def test_users_of_a_question_that_failed_are_unknown_and_the_others_found(
    server: DeviceServer, options: SourceOptions, faults: list[str], said: str
) -> None:
    server.devices = [a_device(user_id, f"t{user_id}") for user_id in (ALICE, BOB, CAROL)]
    server.faults = ["well", *faults, "well"]

    found = DeviceSource(replace(options, batch_size=1)).find([ALICE, BOB, CAROL], NOON)

    assert set(found.devices) == {ALICE, CAROL}
    assert list(found.unknown) == [BOB]
    assert said in found.unknown[BOB]
    assert found.unknown[BOB].startswith("the device source ")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("drip", "did not end its answer in time"),
        ("flood", "answered more than 16,777,216 bytes"),
        ("bomb", "answered more than 16,777,216 bytes"),
    ],
)
def test_an_answer_that_does_not_end_holds_up_no_batch(
    server: DeviceServer, options: SourceOptions, fault: str, said: str
) -> None:
    server.faults = [fault, fault]
    begun = time.monotonic()

    found = DeviceSource(replace(options, timeout=timedelta(seconds=2))).find([ALICE], NOON)

    assert said in found.unknown[ALICE]
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("user_id", [None, 7, "7", [], {"id": 1}])
def test_a_device_of_nobody_costs_only_users_without_another_device(
    server: DeviceServer, options: SourceOptions, user_id: object
) -> None:
    server.answers = {"devices": [{"userId": user_id, "token": "x"}, a_device(ALICE, "phone")]}

    found = DeviceSource(options).find([ALICE, BOB], NOON)

    assert [d.token for d in found.devices[ALICE]] == ["phone"]
    assert list(found.unknown) == [BOB]
    assert "for a user id" in found.unknown[BOB]


@pytest.mark.parametrize("item", [None, 7, "text", [], [[]], {}, {"userId": {}}])
def test_an_item_of_any_shape_raises_nothing(
    server: DeviceServer, options: SourceOptions, item: object
) -> None:
    server.answers = {"devices": [item, a_device(ALICE, "phone")]}

    assert ALICE in DeviceSource(options).find([ALICE], NOON).devices


def test_a_source_that_is_away_leaves_everybody_unknown() -> None:
    source = DeviceSource(SourceOptions(url="http://127.0.0.1:1/"))

    found = source.find([ALICE], NOON)

    assert "gave no answer" in found.unknown[ALICE]


def test_a_bad_device_is_told_unless_its_user_has_a_good_one(
    server: DeviceServer, options: SourceOptions
) -> None:
    server.devices = [
        a_device(ALICE, "good"),
        a_device(ALICE, "bad", kind="pigeon"),
        a_device(BOB, "bad", kind="pigeon"),
        a_device(CAROL, ""),
    ]

    found = DeviceSource(options).find([ALICE, BOB, CAROL], NOON)

    assert [d.token for d in found.devices[ALICE]] == ["good"]
    assert "bad device: kind: Must be one of" in found.unknown[BOB]
    assert CAROL not in {**found.devices, **found.unknown}


def test_an_answer_about_nobody_is_nonsense_and_strangers_are_left_out(
    server: DeviceServer, options: SourceOptions
) -> None:
    server.devices = [a_device(ALICE, "phone")]
    wrong_path = replace(options, fields={"userId": "user.id", "token": "token"})

    found = DeviceSource(wrong_path).find([ALICE], NOON)

    assert "answered 'None' for a user id" in found.unknown[ALICE]
