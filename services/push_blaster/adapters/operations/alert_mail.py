"""Alerts by e-mail: one message to all addresses of a destination, by the mail server."""

import smtplib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum
from pathlib import Path
from threading import Timer
from typing import Final

from push_blaster.adapters.operations.alert_webhook import NotTakenError

_SUBJECT: Final = 150
#: No mail may take longer: its alert must still belong to the engine that sends it.
LONGEST_MAIL: Final = timedelta(minutes=2)


class MailSecurity(StrEnum):
    """How a connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """The mail server of the settings; `time_limit` is for one message, with its connection."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    security: MailSecurity = MailSecurity.STARTTLS
    ca_file: Path | None = None
    time_limit: timedelta = timedelta(seconds=15)


def send_mail(
    server: MailServer, to: Sequence[str], message_id: str, text: str, now: datetime
) -> str:
    """Send the text to some addresses, and return what the server answered; NotTakenError.

    A mail has the same Message-ID whenever it is sent, so that programs know it again.
    """
    mail = _write_mail(server, to, message_id, text, now)
    try:
        with _connected(server) as smtp:
            return _hand_over(smtp, server, to, mail)
    except smtplib.SMTPResponseException as error:
        raise NotTakenError(_said(error.smtp_code, error.smtp_error)) from error
    except UnicodeEncodeError as error:  # the library sends a user and a password as ASCII only
        where = "the user or the password (PUSH_SMTP_USER, PUSH_SMTP_PASSWORD)"
        raise NotTakenError(f"{where} has letters beyond ASCII") from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotTakenError(f"no answer from {server.host}:{server.port} ({error})") from error


def _write_mail(
    server: MailServer, to: Sequence[str], message_id: str, text: str, now: datetime
) -> EmailMessage:
    mail = EmailMessage(SMTP)
    subject = " ".join(text.split())
    mail["Subject"] = subject if len(subject) <= _SUBJECT else f"{subject[:_SUBJECT]}…"
    mail["From"] = server.sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}@{server.sender.rpartition('@')[2].rstrip('>')}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{text}\n", cte="quoted-printable")  # every server takes that
    return mail


@contextmanager
def _connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    """Yield a connection that is broken off when the time is over, whatever the server does."""
    limit = server.time_limit.total_seconds()
    context = ssl.create_default_context(cafile=server.ca_file)
    smtp = (
        _BoundedTLS(timeout=limit, context=context)
        if server.security is MailSecurity.TLS
        else _Bounded(timeout=limit)
    )
    smtp.until = time.monotonic() + limit
    smtp._host = server.host  # type: ignore[attr-defined]  # else TLS checks no name
    timer = Timer(limit, smtp.break_off)
    timer.daemon = True
    timer.start()
    try:
        smtp.connect(server.host, server.port)
        if server.security is MailSecurity.STARTTLS and smtp.sock is not None:
            smtp.sock.settimeout(smtp.left())
            smtp.starttls(context=context)
        yield smtp
    finally:
        timer.cancel()
        smtp.close()


class _Bounded(smtplib.SMTP):
    """A conversation that ends at an instant: also while it connects, address after address."""

    until: float = 0

    def left(self) -> float:
        """Return how many seconds are left, but never none, which would mean no limit."""
        return max(0.001, self.until - time.monotonic())

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        """Return a connection to the first address that answers; OSError if none does in time."""
        fault: OSError = OSError("it has no address")
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                connection = socket.create_connection((str(address[0]), port), self.left())
            except OSError as error:
                fault = error
            else:
                connection.settimeout(self.left())  # of the handshake of TLS as a whole
                return connection
        raise fault

    def break_off(self) -> None:
        """End the connection, whatever the server does."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class _BoundedTLS(smtplib.SMTP_SSL, _Bounded):
    """The same, encrypted from the first byte on."""


def _hand_over(
    smtp: smtplib.SMTP, server: MailServer, to: Sequence[str], mail: EmailMessage
) -> str:
    if server.user and server.password:
        smtp.login(server.user, server.password)
    else:
        smtp.ehlo_or_helo_if_needed()
    _expect(smtp.mail(mail["From"].addresses[0].addr_spec))
    refused = [
        f"{one}: {_said(code, text)}"
        for one in to
        for code, text in [smtp.rcpt(one)]
        if not 200 <= code < 300
    ]
    if len(refused) == len(to):
        raise NotTakenError("; ".join(refused))
    answer = _expect(smtp.data(mail.as_bytes()))
    with suppress(smtplib.SMTPException, OSError):
        smtp.quit()
    return "; ".join([answer, *refused])


def _expect(answer: tuple[int, bytes]) -> str:
    code, text = answer
    if not 200 <= code < 300:
        raise NotTakenError(_said(code, text))
    return _said(code, text)


def _said(code: int, text: bytes | str) -> str:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"it answered {code}: {' '.join(said.split())[:300]}"
