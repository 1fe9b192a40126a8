"""Test devices: phones with names, which automations choose for their tests."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from push_blaster.adapters.devices.device_table import mark_devices_dead
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.devices.device import Address, DeadDevice
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from tests.builders import NOON, a_document
from tests.page_reader import form_values, table_rows
from tests.people import ALICE
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.web.page_support import Visitor

SECRET = "a-secret-token-of-a-phone-4711"
IPHONE = {"name": "Marketing's iPhone", "token": SECRET, "kind": "fcm", "platform": "ios"}


class Recording:
    """A transport that takes every message and keeps it."""

    def __init__(self, sent: list[Message]) -> None:
        self.sent = sent

    def check(self) -> None:
        """Find nothing wrong."""

    def close(self) -> None:
        """Hold nothing open."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        assert not should_stop()
        for message in messages:
            self.sent.append(message)
            yield Delivery(message.user_id, Outcome.SENT, provider_id="taken")


def register(client: FlaskClient, **changes: object) -> str:
    answer = client.post("/api/test-devices", json={**IPHONE, **changes})
    assert answer.status_code == 201, answer.text
    device_id: str = answer.get_json()["id"]
    return device_id


def kill(bench: Bench, token: str) -> None:
    dead = DeadDevice(UUID(int=5), Address(token), "UNREGISTERED")
    with bench.database.transaction() as connection:
        mark_devices_dead(connection, [dead], NOON)


def use(client: FlaskClient, device_id: str) -> None:
    document = a_document(
        id="morning", name="Morning news", settings={"testDeviceIds": [device_id]}
    )
    assert client.post("/api/automation/recipes", json=document).status_code == 201


def test_a_device_gets_the_test_under_its_name_with_the_texts_of_a_real_row(
    bench: Bench, client: FlaskClient, viewer: Visitor
) -> None:
    settings = {"testDeviceIds": [register(client)]}

    ended = bench.run(bench.start(Mode.TEST_LIVE_SEND, settings=settings))

    assert ended.phase is Phase.COMPLETED
    assert [(m["deviceToken"], m["title"]) for m in messages(bench)] == [(SECRET, "Hi Name 1")]
    assert "test sent to Marketing's iPhone." in bench.log(ended.id)
    rows = [row[:3] for row in table_rows(viewer.get(f"/executions/{ended.id}"))]
    assert ["Marketing's iPhone", "iOS · App, Firebase token", "Sent"] in rows


@pytest.mark.parametrize("mode", [Mode.TEST_SCHEDULED_SEND, Mode.TEST_LIVE_SEND])
def test_a_browser_gets_its_tests_with_its_keys_in_every_mode(
    bench: Bench, client: FlaskClient, mode: Mode
) -> None:
    keys = {
        "p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u"
        "-Ts1XbjhazAkj7I99e8QcYP7DkM",
        "auth": "tBHItJI5svbpez7KI4CCXg",
    }
    sent: list[Message] = []
    bench.change(transport=Recording(sent))
    url = "https://fcm.googleapis.com/fcm/send/abc"
    device_id = register(client, kind="webpush", platform="web", token=url, keys=keys)

    ended = bench.run(bench.start(mode, settings={"testDeviceIds": [device_id]}))

    assert ended.phase is Phase.COMPLETED
    assert {m.device_token for m in sent} == {url}
    assert {m.device_keys for m in sent} == {f"{keys['p256dh']}.{keys['auth']}"}
    assert {m.device_kind for m in sent} == {"webpush"}


def test_named_devices_and_named_users_get_the_test_together(
    bench: Bench, client: FlaskClient
) -> None:
    client.post("/api/devices", json={"userId": str(ALICE), "token": "phone-of-alice"})
    settings = {"testDeviceIds": [register(client)], "testUserIds": [str(ALICE)]}

    bench.run(bench.start(Mode.TEST_LIVE_SEND, settings=settings))

    assert {m["deviceToken"] for m in messages(bench)} == {SECRET, "phone-of-alice"}


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.TEST_LIVE_SEND, Mode.TEST_SCHEDULED_SEND])
def test_nobody_stands_in_for_a_dead_or_removed_device(
    bench: Bench, client: FlaskClient, mode: Mode
) -> None:
    kill(bench, SECRET)
    dead, removed = register(client), register(client, name="Old phone", token="another")
    kill(bench, SECRET)
    client.delete(f"/api/test-devices/{removed}")
    settings = {
        "testDeviceIds": [dead, removed],
        "safeguards": {"requireTestFirst": True},
    }

    ended = bench.run(bench.start(mode, settings=settings))

    assert ended.phase is Phase.FAILED
    assert messages(bench) == []
    assert f"{removed} is no test device any more" in bench.log(ended.id)


def test_a_test_device_counts_in_no_result_and_no_cap(bench: Bench, client: FlaskClient) -> None:
    device_id = register(client)
    settings = {"testDeviceIds": [device_id], "dryRunFirst": True}

    ended = bench.run(bench.start(Mode.LIVE, settings=settings, parameters={"users": 3}))

    assert bench.funnel(ended.id)["sent"] == 3
    assert device_id not in {str(one["user_id"]) for one in bench.deliveries(ended.id)}
    assert client.get("/api/devices/report").get_json()["byKind"] == []


def test_no_answer_no_page_and_no_record_has_the_token(
    bench: Bench, client: FlaskClient, admin: Visitor
) -> None:
    device_id = register(client)
    admin.post(
        "/devices/test", once="a", name="Second", token=f"{SECRET}-2", kind="fcm", platform=""
    )

    shown = [
        client.get("/api/test-devices").text,
        client.get(f"/api/test-devices/{device_id}").text,
        client.get("/api/audit-log").text,
        admin.get("/devices/test"),
        admin.get(f"/devices/test/{device_id}"),
        admin.get("/audit-log"),
    ]

    assert [text for text in shown if SECRET in text] == []
    assert "…4711" in admin.get("/devices/test")


def test_a_form_that_is_sent_twice_registers_one_device(admin: Visitor) -> None:
    form = {"once": "the-form", "name": "Phone", "token": "t-1", "kind": "fcm", "platform": ""}

    answers = [admin.post("/devices/test", **form).status_code for _ in range(2)]

    assert answers == [303, 303]
    assert len(admin.client.get("/api/test-devices").get_json()["testDevices"]) == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "  "}, "name: Give the device a name"),
        ({"token": "two words"}, "token: Up to 2048 printable"),
        ({"userId": "nobody"}, "userId: Not a valid UUID"),
        ({"kind": "webpush"}, "token: "),
    ],
)
def test_a_fault_is_told_beside_its_field(
    admin: Visitor, changes: dict[str, str], fault: str
) -> None:
    form = {"once": "a", "name": "Phone", "token": "t-1", "kind": "fcm", "platform": "", **changes}
    field, _, text = fault.partition(": ")

    answer = admin.post("/devices/test", **form)

    assert answer.status_code == 400
    assert f'id="{field}-said"' in answer.text
    assert text in answer.text
    assert "t-1" not in answer.text


def test_a_form_that_is_sent_again_later_changes_nothing_back(
    admin: Visitor, client: FlaskClient
) -> None:
    form = {"once": "the-form", "name": "Phone", "token": "t-1", "kind": "fcm", "platform": ""}
    admin.post("/devices/test", **form)
    (device,) = client.get("/api/test-devices").get_json()["testDevices"]
    client.put(f"/api/test-devices/{device['id']}", json={**IPHONE, "name": "New name"})

    admin.post("/devices/test", **form)

    (kept,) = client.get("/api/test-devices").get_json()["testDevices"]
    assert kept["name"] == "New name"


def test_of_many_requests_for_one_name_one_gets_it(app: Flask, client: FlaskClient) -> None:
    def ask(number: int) -> int:
        headers = {"Authorization": "Bearer admin"}
        body = {**IPHONE, "token": f"token-{number}"}
        answer = app.test_client().post("/api/test-devices", json=body, headers=headers)
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(ask, range(8)))

    assert statuses == [201] + [409] * 7
    assert len(client.get("/api/test-devices").get_json()["testDevices"]) == 1


def test_two_devices_never_have_one_name(client: FlaskClient, admin: Visitor) -> None:
    first = register(client)
    other = register(client, name="Other", token="other-token")

    again = client.post("/api/test-devices", json={**IPHONE, "name": "MARKETING'S  iphone"})
    renamed = admin.post(f"/devices/test/{other}", name="marketing's iPhone", kind="fcm")

    assert again.status_code == renamed.status_code == 409
    assert "Another test device is called" in again.get_json()["detail"]
    assert first != other


def test_a_renamed_device_keeps_its_token_and_its_automations_are_told(
    bench: Bench, client: FlaskClient, admin: Visitor
) -> None:
    device_id = register(client)
    use(client, device_id)

    answer = admin.post(f"/devices/test/{device_id}", name="New phone", kind="fcm", platform="ios")

    assert answer.status_code == 303
    assert "Automations that still use it: Morning news." in admin.get("/devices/test")
    ended = bench.run(
        bench.start(Mode.TEST_LIVE_SEND, settings={"testDeviceIds": [device_id]}, id="another")
    )
    assert [m["deviceToken"] for m in messages(bench)] == [SECRET]
    assert "test sent to New phone." in bench.log(ended.id)


def test_automations_are_told_of_a_removed_and_of_a_dead_device(
    bench: Bench, client: FlaskClient, admin: Visitor
) -> None:
    device_id = register(client)
    use(client, device_id)
    plan = "/api/automation/recipes/morning/plan"

    kill(bench, SECRET)
    dead = json.dumps(client.get(plan).get_json())
    listed = admin.get("/devices/test")
    removed = admin.post(f"/devices/test/{device_id}/remove")

    assert "The test device Marketing's iPhone is dead" in dead
    assert "UNREGISTERED" in listed
    assert removed.status_code == 303
    assert "Automations that still name it: Morning news." in admin.get("/devices/test")
    assert "does not exist (any more)" in client.get(plan).text
    assert client.delete(f"/api/test-devices/{device_id}").get_json() == {
        "deleted": 0,
        "automations": ["morning"],
    }


def test_a_token_that_is_registered_again_lives_again(bench: Bench, client: FlaskClient) -> None:
    device_id = register(client)
    kill(bench, SECRET)
    before = client.get(f"/api/test-devices/{device_id}").get_json()["deadReason"]

    after = client.put(f"/api/test-devices/{device_id}", json=IPHONE).get_json()["deadReason"]

    assert (before, after) == ("UNREGISTERED", None)


def test_a_button_sends_a_test_to_one_device_once(
    bench: Bench, client: FlaskClient, operator: Visitor
) -> None:
    device_id = register(client)
    register(client, name="Other", token="other-token")

    answers = [operator.post(f"/devices/test/{device_id}/send", once="b") for _ in range(2)]

    places = {answer.location for answer in answers}
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(places) == 1
    (execution,) = bench.executions()
    assert bench.run(execution.id).phase is Phase.COMPLETED
    assert [m["deviceToken"] for m in messages(bench)] == [SECRET]
    assert "Marketing&#39;s iPhone" in operator.get(places.pop())


def test_a_repeated_request_sends_one_test_and_its_key_stands_for_no_other_device(
    bench: Bench, client: FlaskClient
) -> None:
    device_id, other = register(client), register(client, name="Other", token="other-token")
    key = {"Idempotency-Key": "k"}

    first, again, refused = [
        client.post(f"/api/test-devices/{one}/send", headers=key)
        for one in (device_id, device_id, other)
    ]

    assert [a.status_code for a in (first, again, refused)] == [202, 202, 422]
    assert first.get_json() == again.get_json()
    (execution,) = bench.executions()
    assert execution.id == first.get_json()["executionId"]


def test_the_form_of_an_automation_offers_the_devices_by_name_and_keeps_a_lost_one(
    bench: Bench, client: FlaskClient, admin: Visitor
) -> None:
    chosen, lost = register(client), str(UUID(int=77))
    other = register(client, name="Other", token="other-token")
    use(client, lost)
    form = form_values(admin.get("/automations/morning/edit"), "editor")

    assert form["settings.testDeviceIds"] == [lost]
    answer = admin.client.post(
        "/automations/morning/edit", data={**form, "settings.testDeviceIds": [chosen, other]}
    )

    assert answer.status_code == 303
    saved = client.get("/api/automation/recipes/morning").get_json()["data"]
    assert saved["settings"]["testDeviceIds"] == [chosen, other]
    page = admin.get("/automations/morning/edit")
    assert "Marketing&#39;s iPhone" in page


def test_a_viewer_sees_test_devices_and_changes_none(client: FlaskClient, viewer: Visitor) -> None:
    device_id = register(client)

    page = viewer.get("/devices/test")

    assert "Marketing&#39;s iPhone" in page
    assert "Register a test device" not in page
    assert viewer.client.get(f"/devices/test/{device_id}").status_code == 403
    assert viewer.post(f"/devices/test/{device_id}/send", once="x").status_code == 403
