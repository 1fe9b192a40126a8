"""Settings of delivery, from an environment as an operator writes it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from chassis.settings import SettingsError, SettingsReader
from push_blaster.cli import main
from push_blaster.delivery_settings import DeliverySettings, read_delivery_settings
from push_blaster.domain.delivery.message import Message, Outcome, TransportUnavailableError
from push_blaster.wiring import connect_transport
from tests.fakes.apns_server import make_p8
from tests.people import ALICE

SECRET = "whsec_" + "c2VjcmV0" * 4

APPLE = {
    "APNS_KEY_ID": "ABC123DEFG",
    "APNS_TEAM_ID": "DEF123GHIJ",
    "APNS_TOPIC": "com.example.garden",
}


def read(monkeypatch: pytest.MonkeyPatch, **environ: str) -> DeliverySettings:
    for name in ("PUSH_TRANSPORT", "FIREBASE_PROJECT_ID", "WEBPUSH_PRIVATE_KEY", "WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    reader = SettingsReader()
    settings = read_delivery_settings(reader)
    reader.finish()
    return settings


def a_message(kind: str) -> Message:
    return Message(ALICE, "https://127.0.0.1/x", "Title", "Body", "", "tag", kind)


def test_unless_told_otherwise_everything_goes_to_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    transport = connect_transport(read(monkeypatch, WEBHOOK_SECRET=SECRET), tmp_path / "sent.jsonl")

    sent = transport.send([a_message("fcm"), a_message("webhook")], lambda: False)

    assert {delivery.outcome for delivery in sent} == {Outcome.SENT}
    assert len((tmp_path / "sent.jsonl").read_text().splitlines()) == 2


def test_by_kind_each_device_has_what_is_set_up_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = read(monkeypatch, PUSH_TRANSPORT="by-kind", WEBHOOK_SECRET=SECRET)
    transport = connect_transport(settings, tmp_path / "sent.jsonl")

    outcomes = {
        kind: next(iter(transport.send([a_message(kind)], lambda: False)))
        for kind in ("file", "webhook", "webpush", "fcm", "fid")
    }

    assert outcomes["file"].outcome is Outcome.SENT
    assert "PUSH_PRIVATE_NETWORKS" in (outcomes["webhook"].reason or "")
    for kind in ("webpush", "fcm", "fid"):
        assert f"kind {kind}" in (outcomes[kind].reason or "")


def test_vapid_keys_fit_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = CliRunner().invoke(main, ["vapid-keys"]).output
    line, remark = printed.splitlines()
    name, _, key = line.partition("=")

    settings = read(monkeypatch, WEBPUSH_SUBJECT="mailto:push@garden.test", **{name: key})

    assert settings.vapid
    assert settings.vapid.public_key == remark.rpartition(" ")[2]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PUSH_TRANSPORT": "pigeon"}, "PUSH_TRANSPORT is 'pigeon'"),
        ({"PUSH_TRANSPORT": "fcm"}, "FIREBASE_PROJECT_ID is not set"),
        ({"WEBPUSH_PRIVATE_KEY": "A" * 43}, "WEBPUSH_SUBJECT is ''"),
        (
            {"WEBPUSH_PRIVATE_KEY": "AAAA", "WEBPUSH_SUBJECT": "mailto:a@b.test"},
            "push-blaster vapid-keys",
        ),
        ({"WEBHOOK_SECRET": "secret"}, "WEBHOOK_SECRET is"),
        (
            {"PUSH_DEVICE_SOURCE_URL": "http://a.test", "PUSH_DEVICE_SOURCE_FIELDS": "id=x"},
            "PUSH_DEVICE_SOURCE_FIELDS: 'id' is not one of userId, token",
        ),
        ({"PUSH_PRIVATE_NETWORKS": "10.0.0.1/8"}, "PUSH_PRIVATE_NETWORKS: "),
        ({"APNS_TOPIC": "com.example.garden"}, "APNS_PRIVATE_KEY is not set"),
        ({**APPLE, "APNS_PRIVATE_KEY": "none"}, "APNS_PRIVATE_KEY is no private key in PEM"),
        ({**APPLE, "APNS_PRIVATE_KEY_FILE": "/no/key.p8"}, "APNS_PRIVATE_KEY_FILE: cannot read"),
        ({**APPLE, "APNS_KEY_ID": "short"}, "APNS_KEY_ID is 'short'; it looks like ABC123DEFG"),
        ({**APPLE, "APNS_TEAM_ID": ""}, "APNS_TEAM_ID is not set"),
        ({**APPLE, "APNS_TOPIC": "Garden app"}, "APNS_TOPIC is 'Garden app'; it looks like com."),
        ({**APPLE, "APNS_ENVIRONMENT": "staging"}, "APNS_ENVIRONMENT is 'staging'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        read(monkeypatch, **environ)


def test_a_device_source_is_read_with_its_query_and_its_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = read(
        monkeypatch,
        PUSH_DEVICE_SOURCE_URL="http://source.test",
        PUSH_DEVICE_SOURCE_SECRET="s3cret",
        PUSH_DEVICE_SOURCE_SECRET_HEADER="X-Admin-Secret",
        PUSH_DEVICE_SOURCE_QUERY="query($ids: [uuid!]!) { users { id } }",
        PUSH_DEVICE_SOURCE_LIST="data.users",
        PUSH_DEVICE_SOURCE_FIELDS="userId=id,token=devices.0.token",
    ).device_source

    assert source
    assert source.headers == {"X-Admin-Secret": "s3cret"}
    assert (source.list_path, source.fields["userId"]) == ("data.users", "id")
    assert source.fields["platform"] == "platform"


def test_fcm_of_a_key_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ = {
        "PUSH_TRANSPORT": "by-kind",
        "FIREBASE_PROJECT_ID": "garden",
        "FIREBASE_CLIENT_EMAIL": "push@garden.test",
        "FIREBASE_PRIVATE_KEY": "no key",
    }

    with pytest.raises(TransportUnavailableError, match=r"\(FIREBASE_PRIVATE_KEY\) is no key"):
        connect_transport(read(monkeypatch, **environ), tmp_path / "sent.jsonl")


@pytest.mark.parametrize(
    ("environ", "base_url"),
    [
        ({}, "https://api.push.apple.com"),
        ({"APNS_ENVIRONMENT": "sandbox"}, "https://api.sandbox.push.apple.com"),
        ({"APNS_BASE_URL": "https://apple.test:2197"}, "https://apple.test:2197"),
    ],
)
def test_the_key_of_apple_comes_from_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environ: dict[str, str], base_url: str
) -> None:
    (tmp_path / "AuthKey.p8").write_text(make_p8()[0])
    file = {"APNS_PRIVATE_KEY_FILE": str(tmp_path / "AuthKey.p8")}

    apns = read(monkeypatch, PUSH_TRANSPORT="by-kind", **APPLE, **file, **environ).apns

    assert apns
    assert (apns.key.key_id, apns.options.topic) == ("ABC123DEFG", "com.example.garden")
    assert (apns.options.base_url, apns.options.sandbox_url) == (
        base_url,
        "https://api.sandbox.push.apple.com",
    )


def test_a_key_of_apple_may_stand_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_p8()[0].replace("\n", "\\n")

    assert read(monkeypatch, **APPLE, APNS_PRIVATE_KEY=key).apns
