"""The settings of delivery: which transports are set up, and what each one needs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from environs import Env

from chassis.settings import (
    SettingsError,
    SettingsReader,
    is_url,
    read_count,
    read_flag,
    read_optional_url,
    read_seconds,
    read_secret,
    read_url,
    require_secret,
)
from push_blaster.adapters.devices.device_source import FIELDS, SourceOptions
from push_blaster.adapters.devices.subscription_keys import BadKeyError
from push_blaster.adapters.transports.apns_transport import (
    ApnsKey,
    ApnsOptions,
    read_p8,
)
from push_blaster.adapters.transports.vapid import Vapid
from push_blaster.adapters.transports.webhook_transport import BadSecretError, read_secret_key
from push_blaster.domain.devices.device import Network

#: The push services of Chrome, Firefox, Edge and Safari.
PUSH_HOSTS: Final = (
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.notify.windows.com",
    "web.push.apple.com",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmSettings:
    """The address of Firebase Cloud Messaging, and our account there."""

    project_id: str
    client_email: str
    private_key: str
    base_url: str
    token_uri: str
    ca_file: Path | None
    answer_timeout: timedelta
    validates_dry_runs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsSettings:
    """The address of the Apple Push Notification service, and our key there."""

    options: ApnsOptions
    key: ApnsKey


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """The transports that are set up; None means that a transport is not.

    Shape: with `to_file` every message goes to the file, also if other transports are set up.
    """

    to_file: bool = True
    fcm: FcmSettings | None = None
    apns: ApnsSettings | None = None
    vapid: Vapid | None = None
    webhook_secret: bytes | None = None
    push_hosts: Sequence[str] = PUSH_HOSTS
    webhook_schemes: Sequence[str] = ("https",)
    private_networks: Sequence[Network] = ()
    ca_file: Path | None = None
    device_source: SourceOptions | None = None


def read_delivery_settings(read: SettingsReader) -> DeliverySettings:
    """Read the settings of delivery; `read` notes each one that is missing or does not fit."""
    env = read.env
    transport = read(_transport)
    wants_fcm = transport == "fcm" or bool(
        transport == "by-kind" and env.str("FIREBASE_PROJECT_ID", None)
    )
    ca_file = env.str("PUSH_CA_FILE", None)
    return DeliverySettings(
        to_file=transport == "file",
        fcm=_fcm(read, is_used=wants_fcm),
        apns=_apns(read),
        vapid=_vapid(read),
        webhook_secret=read(_webhook_secret),
        push_hosts=env.list("WEBPUSH_HOSTS", list(PUSH_HOSTS)),
        webhook_schemes=env.list("WEBHOOK_SCHEMES", ["https"]),
        private_networks=read(_networks),
        ca_file=Path(ca_file) if ca_file else None,
        device_source=_device_source(read),
    )


def _transport(env: Env) -> str:
    transport = env.str("PUSH_TRANSPORT", "file")
    if transport not in {"file", "fcm", "by-kind"}:
        raise SettingsError(f"PUSH_TRANSPORT is {transport!r}; use 'file', 'fcm' or 'by-kind'.")
    return transport


def _fcm(read: SettingsReader, *, is_used: bool) -> FcmSettings | None:
    """Return the settings of FCM; they have to fit, even if FCM is not used."""
    ca_file = read.env.str("FCM_CA_FILE", None)
    read_own = require_secret if is_used else read_secret
    private_key = read(read_own, "FIREBASE_PRIVATE_KEY") or ""
    settings = FcmSettings(
        project_id=read(read_own, "FIREBASE_PROJECT_ID") or "",
        client_email=read(read_own, "FIREBASE_CLIENT_EMAIL") or "",
        private_key=private_key.replace("\\n", "\n"),
        base_url=read(read_url, "FCM_BASE_URL", "https://fcm.googleapis.com"),
        token_uri=read(read_url, "FCM_TOKEN_URI", "https://oauth2.googleapis.com/token"),
        ca_file=Path(ca_file) if ca_file else None,
        answer_timeout=read(read_seconds, "FCM_ANSWER_TIMEOUT_SECONDS", 20),
        validates_dry_runs=read(read_flag, "FCM_VALIDATE_DRY_RUNS"),
    )
    return settings if is_used else None


#: The hosts of Apple, by the setting APNS_ENVIRONMENT.
_APPLE: Final = {
    "production": "https://api.push.apple.com",
    "sandbox": "https://api.sandbox.push.apple.com",
}
_APNS_NAMES: Final = ("APNS_PRIVATE_KEY", "APNS_KEY_ID", "APNS_TEAM_ID", "APNS_TOPIC")


def _apns(read: SettingsReader) -> ApnsSettings | None:
    """Return the settings of APNs; what is there has to fit, and one key asks for all others."""
    env = read.env
    files = [f"{name}_FILE" for name in _APNS_NAMES]
    environment = read(_apns_environment)
    base_url = read(read_url, "APNS_BASE_URL", _APPLE.get(environment, _APPLE["production"]))
    sandbox_url = read(read_url, "APNS_SANDBOX_URL", _APPLE["sandbox"])
    if not any(env.str(name, "") for name in (*_APNS_NAMES, *files)):
        return None
    private_key = read(require_secret, "APNS_PRIVATE_KEY")
    key_id = read(_require_apple_name, "APNS_KEY_ID", _TEN_CHARACTERS, "ABC123DEFG")
    team_id = read(_require_apple_name, "APNS_TEAM_ID", _TEN_CHARACTERS, "DEF123GHIJ")
    topic = read(_require_apple_name, "APNS_TOPIC", _BUNDLE_ID, "com.example.garden")
    ca_file = env.str("APNS_CA_FILE", None)
    options = ApnsOptions(
        topic=topic,
        base_url=base_url,
        sandbox_url=sandbox_url,
        ca_file=Path(ca_file) if ca_file else None,
        answer_timeout=read(read_seconds, "APNS_ANSWER_TIMEOUT_SECONDS", 20),
    )
    key = read(_apns_key, private_key) if private_key else None
    if key is None:
        return None  # what does not fit ends the start
    return ApnsSettings(
        options=options, key=ApnsKey(private_key=key, key_id=key_id, team_id=team_id)
    )


_TEN_CHARACTERS: Final = re.compile(r"[A-Z0-9]{10}")
_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def _require_apple_name(env: Env, name: str, form: re.Pattern[str], example: str) -> str:
    text = require_secret(env, name)
    if not form.fullmatch(text):
        raise SettingsError(f"{name} is {text!r}; it looks like {example}.")
    return text


def _apns_environment(env: Env) -> str:
    environment = env.str("APNS_ENVIRONMENT", "production")
    if environment not in _APPLE:
        raise SettingsError(f"APNS_ENVIRONMENT is {environment!r}; use 'production' or 'sandbox'.")
    return environment


def _apns_key(_env: Env, text: str) -> EllipticCurvePrivateKey:
    try:
        return read_p8(text.replace("\\n", "\n"))
    except BadKeyError as error:
        raise SettingsError(f"APNS_PRIVATE_KEY {error}.") from error


def _vapid(read: SettingsReader) -> Vapid | None:
    private_key = read(read_secret, "WEBPUSH_PRIVATE_KEY")
    subject = read(_subject) if private_key or read.env.str("WEBPUSH_SUBJECT", "") else ""
    return read(_make_vapid, private_key, subject) if private_key else None


def _subject(env: Env) -> str:
    subject = env.str("WEBPUSH_SUBJECT", "")
    is_site = subject.startswith("https://") and is_url(subject)
    if not (is_site or re.fullmatch(r"mailto:[^\s@]+@[^\s@]+", subject)):
        raise SettingsError(
            f"WEBPUSH_SUBJECT is {subject!r}; set it to 'mailto:…' or 'https://…', where push "
            "services find whoever operates this."
        )
    return subject


def _make_vapid(_env: Env, private_key: str, subject: str) -> Vapid:
    try:
        return Vapid(private_key, subject)
    except BadKeyError as error:
        raise SettingsError(
            f"WEBPUSH_PRIVATE_KEY: {error}. `push-blaster vapid-keys` makes a pair."
        ) from error


def _webhook_secret(env: Env) -> bytes | None:
    secret = read_secret(env, "WEBHOOK_SECRET")
    try:
        return read_secret_key(secret) if secret else None
    except BadSecretError as error:
        raise SettingsError(
            f'WEBHOOK_SECRET {error}. Make one: echo "whsec_$(openssl rand -base64 32)".'
        ) from error


def _device_source(read: SettingsReader) -> SourceOptions | None:
    env = read.env
    url = read(read_optional_url, "PUSH_DEVICE_SOURCE_URL")
    if not (url or env.str("PUSH_DEVICE_SOURCE_URL", None)):
        return None
    secret = read(read_secret, "PUSH_DEVICE_SOURCE_SECRET")
    header = env.str("PUSH_DEVICE_SOURCE_SECRET_HEADER", "Authorization")
    return SourceOptions(
        url=url or "",  # what does not fit ends the start
        headers={header: secret} if secret else {},
        query=env.str("PUSH_DEVICE_SOURCE_QUERY", None) or None,
        list_path=env.str("PUSH_DEVICE_SOURCE_LIST", "devices"),
        fields=read(_source_fields),
        batch_size=read(read_count, "PUSH_DEVICE_SOURCE_BATCH_SIZE", 100),
        timeout=read(read_seconds, "PUSH_DEVICE_SOURCE_TIMEOUT_SECONDS", 10),
    )


def _source_fields(env: Env) -> dict[str, str]:
    texts: list[str] = env.list("PUSH_DEVICE_SOURCE_FIELDS", [])
    pairs = dict(text.partition("=")[::2] for text in texts)
    wrong = [name for name, path in pairs.items() if name not in FIELDS or not path]
    if wrong:
        raise SettingsError(
            f"PUSH_DEVICE_SOURCE_FIELDS: {', '.join(map(repr, wrong))} is not one of "
            f"{', '.join(FIELDS)}, with '=' and a path behind it."
        )
    return {**FIELDS, **pairs}


def _networks(env: Env) -> tuple[Network, ...]:
    texts: list[str] = env.list("PUSH_PRIVATE_NETWORKS", [])
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise SettingsError(
            f"PUSH_PRIVATE_NETWORKS: {error}; use networks such as 10.1.0.0/16."
        ) from error
