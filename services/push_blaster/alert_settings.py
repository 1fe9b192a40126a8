"""The settings of alerts: webhooks, the mail server, where the pages are, and the heartbeat."""

from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Final

from environs import Env

from chassis.settings import (
    SettingsError,
    SettingsReader,
    read_optional_url,
    read_port,
    read_seconds,
    read_secret,
)
from push_blaster.adapters.operations.alert_mail import LONGEST_MAIL, MailSecurity, MailServer
from push_blaster.adapters.transports.webhook_transport import BadSecretError, read_secret_key
from push_blaster.domain.operations.alert import USUAL, AlertEvent
from push_blaster.domain.operations.destination import is_mail_address

_PORTS: Final = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """The webhooks for alerts, the events that they get, and the URL for heartbeats.

    Shape: `keys` sign what the webhooks get; `mail`
    sends what destinations of the page get by e-mail.
    """

    url: str | None = None
    test_url: str | None = None
    events: frozenset[AlertEvent] = USUAL
    keys: tuple[bytes, ...] = ()
    mail: MailServer | None = None
    heartbeat_url: str | None = None


def read_alert_settings(read: SettingsReader) -> AlertSettings:
    """Read the settings of alerts; `read` notes each one that is missing or does not fit."""
    return AlertSettings(
        url=read(read_optional_url, "PUSH_ALERT_WEBHOOK_URL"),
        test_url=read(read_optional_url, "PUSH_ALERT_TEST_WEBHOOK_URL"),
        events=read(_events),
        keys=read(_keys) or (),
        mail=_mail(read),
        heartbeat_url=read(read_optional_url, "PUSH_HEARTBEAT_URL"),
    )


def _events(env: Env) -> frozenset[AlertEvent]:
    named = env.list("PUSH_ALERT_ON", sorted(USUAL))
    unknown = [name for name in named if name not in list(AlertEvent)]
    if unknown:
        raise SettingsError(
            f"PUSH_ALERT_ON names {', '.join(map(repr, unknown))}; use some of "
            f"{', '.join(AlertEvent)}."
        )
    return frozenset(map(AlertEvent, named))


def _keys(env: Env) -> tuple[bytes, ...]:
    """Return the keys of one secret, or of several, which stand with spaces between them."""
    secrets = read_secret(env, "PUSH_ALERT_WEBHOOK_SECRET")
    try:
        return tuple(map(read_secret_key, (secrets or "").split()))
    except BadSecretError as error:
        raise SettingsError(
            f'PUSH_ALERT_WEBHOOK_SECRET {error}. Make one: echo "whsec_$(openssl rand -base64 32)".'
        ) from error


def _mail(read: SettingsReader) -> MailServer | None:
    host = read.env.str("PUSH_SMTP_HOST", None)
    security = read(_security) or MailSecurity.STARTTLS
    ca_file = read.env.str("PUSH_CA_FILE", None)
    server = MailServer(
        host=host or "",
        port=read(read_port, "PUSH_SMTP_PORT", _PORTS[security]),
        sender=read(_sender, is_needed=bool(host)),
        user=read.env.str("PUSH_SMTP_USER", None),
        password=read(read_secret, "PUSH_SMTP_PASSWORD"),
        security=security,
        ca_file=Path(ca_file) if ca_file else None,
        time_limit=min(read(read_seconds, "PUSH_SMTP_TIMEOUT_SECONDS", 15), LONGEST_MAIL),
    )
    return server if host else None


def _security(env: Env) -> MailSecurity:
    name = env.str("PUSH_SMTP_SECURITY", MailSecurity.STARTTLS)
    if name not in list(MailSecurity):
        raise SettingsError(
            f"PUSH_SMTP_SECURITY is {name!r}; use {', '.join(map(repr, map(str, MailSecurity)))}."
        )
    if name == MailSecurity.NONE and env.str("PUSH_SMTP_USER", None):
        raise SettingsError(
            "PUSH_SMTP_SECURITY is 'none', so everybody on the way could read the password of "
            "PUSH_SMTP_USER; use 'starttls' or 'tls', or leave the user out."
        )
    return MailSecurity(name)


def _sender(env: Env, *, is_needed: bool) -> str:
    sender: str = env.str("PUSH_SMTP_FROM", "")
    if (is_needed or sender) and not is_mail_address(parseaddr(sender)[1]):
        raise SettingsError(
            f"PUSH_SMTP_FROM is {sender!r}; set it to the address from which e-mails come, such as "
            "alerts@example.com or 'Push automation <alerts@example.com>'."
        )
    return sender
