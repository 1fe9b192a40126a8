"""One push to devices of every kind at once, by settings as an operator writes them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from chassis.settings import SettingsReader
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.transports.vapid import make_key_pair
from push_blaster.delivery_settings import read_delivery_settings
from push_blaster.domain.executions.phase import Phase
from push_blaster.wiring import connect_transport
from tests.builders import NOON
from tests.fakes.apns_server import KEY_ID, TEAM, TOPIC, ApnsServer, hexed, make_p8
from tests.fakes.browser import Browser
from tests.fakes.fcm_server import FcmServer, run_provider
from tests.fakes.fcm_settings import fcm_settings
from tests.fakes.post_receiver import PostReceiver, run_post_receiver
from tests.fakes.token_server import make_key, run_token_server
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench, messages

BROWSER: Final = Browser()
PUSH: Final = {
    "title": "Hi [[var:first_name]]",
    "body": "The fern waits",
    "deepLink": "https://garden.example/fern",
    "imageUrl": "https://cdn.example/fern.png",
    "ttlMinutes": 10,
    "badge": 3,
    "actions": [{"id": "buy", "title": "Buy", "deepLink": "https://garden.example/buy"}],
    "data": {"plant": "fern"},
    "variants": [
        {"id": "a", "title": "Hi [[var:first_name]]"},
        {"id": "b", "title": "Hello [[var:first_name]]"},
    ],
}


@pytest.fixture
def fcm(tmp_path: Path) -> Iterator[FcmServer]:
    (tmp_path / "fcm").mkdir()
    with run_provider(FcmServer, tmp_path / "fcm") as server:
        yield server


@pytest.fixture
def apns(tmp_path: Path) -> Iterator[ApnsServer]:
    (tmp_path / "apns").mkdir()
    with run_provider(ApnsServer, tmp_path / "apns") as server:
        yield server


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[PostReceiver]:
    (tmp_path / "posts").mkdir()
    with run_post_receiver(tmp_path / "posts") as server:
        yield server


@pytest.fixture
def installed(
    fcm: FcmServer, apns: ApnsServer, receiver: PostReceiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    private, apns.public_key = make_p8()
    with run_token_server(None) as google:
        environ = {
            **fcm_settings(fcm, google.url, make_key()[0]),
            "PUSH_TRANSPORT": "by-kind",
            "APNS_PRIVATE_KEY": private,
            "APNS_KEY_ID": KEY_ID,
            "APNS_TEAM_ID": TEAM,
            "APNS_TOPIC": TOPIC,
            "APNS_BASE_URL": apns.url,
            "APNS_SANDBOX_URL": apns.url,
            "APNS_CA_FILE": str(apns.ca_file),
            "WEBPUSH_PRIVATE_KEY": make_key_pair()[0],
            "WEBPUSH_SUBJECT": "mailto:push@garden.test",
            "WEBPUSH_HOSTS": "localhost",
            "WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 4,
            "PUSH_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
            "PUSH_CA_FILE": str(receiver.ca_file),
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield


def run_to_all(bench: Bench, receiver: PostReceiver, **changes: object) -> str:
    """Send one push to a device of each kind; return the execution."""
    rows = "\n".join(["user_id,first_name", *(f"{user},Kim" for user in USERS)])
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({rows!r})"
    )
    keys = f"{BROWSER.keys['p256dh']}.{BROWSER.keys['auth']}"
    devices = [
        Device("ok-android", ALICE),
        Device(hexed("ok-iphone"), BOB, "apns"),
        Device(hexed("ok-xcode"), CAROL, "apns_sandbox"),
        Device(receiver.url("/ok/browser"), DAVE, "webpush", keys=keys),
        Device(receiver.url("/ok/hook"), ERIN, "webhook"),
    ]
    with bench.database.transaction() as connection:
        upsert_devices(connection, devices, NOON)
    reader = SettingsReader()
    delivery = read_delivery_settings(reader)
    reader.finish()
    transport = connect_transport(delivery, bench.folder / "messages.jsonl")
    bench.change(transport=transport)
    execution = bench.run(bench.start(pushes=[{**PUSH, **changes}]))
    transport.close()
    assert execution.phase is Phase.COMPLETED
    assert {d["state"] for d in bench.deliveries(execution.id)} == {"sent"}
    return execution.id


DAVE, ERIN = UUID(int=4), UUID(int=5)
USERS: Final = (ALICE, BOB, CAROL, DAVE, ERIN)
DATA: Final = {
    "click_action": "https://garden.example/fern",
    "url": "https://garden.example/fern",
    "plant": "fern",
    "actions": json.dumps(
        [{"id": "buy", "title": "Buy", "deepLink": "https://garden.example/buy"}]
    ),
}
TITLES: Final = {"Hi Kim", "Hello Kim"}


def without_receipt(data: dict[str, Any]) -> dict[str, Any]:
    assert len(data["receipt"]) > 40
    return {name: value for name, value in data.items() if name != "receipt"}


@pytest.mark.usefixtures("installed")
def test_one_push_reaches_every_kind_of_device_at_once(
    bench: Bench, fcm: FcmServer, apns: ApnsServer, receiver: PostReceiver
) -> None:
    run_to_all(bench, receiver)

    (android,) = fcm.received
    assert android["token"] == "ok-android"
    assert android["notification"]["title"] in TITLES
    assert android["notification"]["image"] == PUSH["imageUrl"]
    assert without_receipt(android["data"]) == DATA
    assert android["android"]["ttl"] == "600s"

    paths = {one["headers"][":path"] for one in apns.received}
    assert paths == {f"/3/device/{hexed(word)}" for word in ("ok-iphone", "ok-xcode")}
    for payload in (one["payload"] for one in apns.received):
        aps = payload.pop("aps")
        assert aps.pop("alert")["title"] in TITLES
        assert aps == {"badge": 3, "mutable-content": 1}
        assert payload.pop("imageUrl") == PUSH["imageUrl"]
        assert without_receipt(payload) == DATA

    posts = {one.path: one for one in receiver.received}
    browser = BROWSER.read(posts["/ok/browser"].body)
    assert browser["notification"]["image"] == PUSH["imageUrl"]
    assert browser["notification"]["actions"] == [{"action": "buy", "title": "Buy"}]
    assert without_receipt(browser["data"]) == DATA
    hook = json.loads(posts["/ok/hook"].body)
    assert hook["title"] in TITLES
    assert hook["actions"] == PUSH["actions"]
    assert without_receipt(hook["data"]) == DATA


@pytest.mark.usefixtures("installed")
def test_a_silent_push_shows_nothing_on_any_device(
    bench: Bench, fcm: FcmServer, apns: ApnsServer, receiver: PostReceiver
) -> None:
    run_to_all(bench, receiver, silent=True)

    (android,) = fcm.received
    assert android.keys() == {"token", "data", "android", "apns", "webpush"}
    assert without_receipt(android["data"]) == DATA
    for one in apns.received:
        assert one["headers"]["apns-push-type"] == "background"
        assert one["payload"].pop("aps") == {"content-available": 1}
        assert without_receipt(one["payload"]) == DATA
    posts = {one.path: one for one in receiver.received}
    browser = BROWSER.read(posts["/ok/browser"].body)
    assert browser.keys() == {"data"}
    assert without_receipt(browser["data"]) == DATA
    assert json.loads(posts["/ok/hook"].body)["silent"] is True


@pytest.mark.usefixtures("installed")
def test_the_same_push_goes_to_the_file_and_to_nobody_else(
    bench: Bench,
    fcm: FcmServer,
    apns: ApnsServer,
    receiver: PostReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUSH_TRANSPORT", "file")

    run_to_all(bench, receiver)

    lines = messages(bench)
    assert sorted(line["userId"] for line in lines) == sorted(map(str, USERS))
    for line in lines:
        assert line["title"] in TITLES
        assert without_receipt(line["data"]) == DATA
    assert not [*fcm.requests, *apns.requests, *receiver.received]
