"""PushSettings that do not fit are named, with what would."""

from base64 import b64encode
from pathlib import Path

import pytest

from chassis.settings import SettingsError
from push_blaster.domain.operations.retention import KEPT
from push_blaster.settings import PushSettings
from push_blaster.wiring import make_alert_sender
from tests.push_blaster.settings import environ_for


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """What has no default, and nothing else."""
    for name, value in environ_for("postgresql://127.0.0.1:9/none", tmp_path).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_what_is_not_set_has_a_default(environment: pytest.MonkeyPatch) -> None:
    settings = PushSettings.from_environ()

    assert settings.retention == KEPT
    assert settings.engine.limits.script.user is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PUSH_KEEP_AUDIT_DAYS", "364", "PUSH_KEEP_AUDIT_DAYS is 364.*365 days or more"),
        ("PUSH_KEEP_RESULTS_DAYS", "89", "PUSH_KEEP_RESULTS_DAYS is 89.*90 days or more"),
        ("PUSH_KEEP_DAYS", "0", "PUSH_KEEP_DAYS"),
        ("PUSH_EVENTS_PER_MINUTE", "99", "PUSH_EVENTS_PER_MINUTE is '99'; .* from 100 on"),
        ("PUSH_SCRIPT_USER", "no-such-user", "no-such-user.*no such user"),
    ],
)
def test_what_does_not_fit_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    environment.setenv(name, value)

    with pytest.raises(SettingsError, match=said):
        PushSettings.from_environ()


#: One fault of every kind of group: the database, numbers, delivery, devices, alerts, and scripts.
FAULTS = {
    "PUSH_BLASTER_DATABASE_URL": "nonsense",
    "PUSH_ADMIN_TOKEN": "short",
    "PUSH_PORT": "0",
    "PUSH_WEB_WORKERS": "many",
    "PUSH_KEEP_DAYS": "0",
    "PUSH_SCRIPT_USER": "no-such-user",
    "FIREBASE_CLIENT_EMAIL_FILE": "/none",
    "FCM_ANSWER_TIMEOUT_SECONDS": "soon",
    "FCM_BASE_URL": "ftp://example.com",
    "WEBPUSH_SUBJECT": "nobody",
    "WEBHOOK_SECRET": "secret",
    "PUSH_PRIVATE_NETWORKS": "10.0.0.1/8",
    "PUSH_DEVICE_SOURCE_SECRET_FILE": "/none",
    "PUSH_DEVICE_SOURCE_FIELDS": "id=x",
    "PUSH_DEVICE_SOURCE_BATCH_SIZE": "0",
    "PUSH_ALERT_ON": "lunch",
    "PUSH_ALERT_WEBHOOK_URL_FILE": "/none",
    "PUSH_ALERT_WEBHOOK_SECRET": "secret",
    "PUSH_SMTP_PORT": "0",
    "PUSH_SMTP_SECURITY": "maybe",
    "PUSH_SMTP_FROM": "nobody",
    "PUSH_HEARTBEAT_URL_FILE": "/none",
}


def test_one_message_names_every_setting_that_does_not_fit(
    environment: pytest.MonkeyPatch,
) -> None:
    fitting = {
        "PUSH_TRANSPORT": "fcm",
        "FIREBASE_PROJECT_ID": "garden",
        "WEBPUSH_PRIVATE_KEY": "AAAA",
        "PUSH_DEVICE_SOURCE_URL": "http://source.test",
    }
    for name, value in {**fitting, **FAULTS}.items():
        environment.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        PushSettings.from_environ()

    told = str(refused.value)
    expected = [*FAULTS, "FIREBASE_PRIVATE_KEY", "WEBPUSH_PRIVATE_KEY"]
    assert [name for name in expected if name not in told] == []
    assert [line for line in told.splitlines() if "PROJECT_ID" in line or "PUSH_HOST" in line] == []


def test_alerts_are_sent_as_the_settings_say(environment: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PUSH_ALERT_WEBHOOK_URL": "https://hooks.example.com/live",
        "PUSH_ALERT_TEST_WEBHOOK_URL": "https://hooks.example.com/tests",
        "PUSH_ALERT_ON": "failure",
        "PUSH_PUBLIC_URL": "https://push.example.com/",
        "PUSH_SMTP_HOST": "smtp.example.com",
        "PUSH_SMTP_SECURITY": "tls",
        "PUSH_SMTP_FROM": "Push automation <alerts@example.com>",
    }.items():
        environment.setenv(name, value)

    sender = make_alert_sender(PushSettings.from_environ())

    live, tests = sender.environment
    assert (live.setting, set(live.events), set(live.modes)) == (
        "PUSH_ALERT_WEBHOOK_URL",
        {"failure", "finding"},
        {"live"},
    )
    assert "live" not in tests.modes
    assert "finding" not in tests.events
    assert sender.public_url == "https://push.example.com"
    assert sender.mail is not None
    assert sender.mail.port == 465


@pytest.mark.parametrize(
    ("own", "expected"),
    [("", ["first"]), ("second", ["second"]), ("second third", ["second", "third"])],
)
def test_alerts_are_signed_by_their_own_keys_or_by_that_of_webhooks(
    environment: pytest.MonkeyPatch, own: str, expected: list[str]
) -> None:
    keys = {name: name.encode() * 6 for name in ("first", "second", "third")}
    secrets = {name: f"whsec_{b64encode(key).decode()}" for name, key in keys.items()}
    environment.setenv("PUSH_ALERT_WEBHOOK_URL", "https://hooks.example.com/live")
    environment.setenv("WEBHOOK_SECRET", secrets["first"])
    environment.setenv("PUSH_ALERT_WEBHOOK_SECRET", " ".join(secrets[one] for one in own.split()))

    (live,) = make_alert_sender(PushSettings.from_environ()).environment

    assert list(live.webhook.keys) == [keys[one] for one in expected]


def test_a_password_of_a_mail_server_goes_nowhere_in_the_clear(
    environment: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "PUSH_SMTP_HOST": "smtp.example.com",
        "PUSH_SMTP_FROM": "alerts@example.com",
        "PUSH_SMTP_SECURITY": "none",
        "PUSH_SMTP_USER": "push-alerts",
    }.items():
        environment.setenv(name, value)

    with pytest.raises(SettingsError, match="PUSH_SMTP_SECURITY is 'none'"):
        PushSettings.from_environ()
