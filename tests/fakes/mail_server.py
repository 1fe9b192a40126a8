"""A local mail server, true to its protocol; it keeps what it takes."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

USER, PASSWORD = "push-alerts", "correct horse"


@dataclass
class LocalMailServer:
    """Takes mail for everybody but for addresses that begin with `nobody`."""

    port: int = 0
    ca_file: Path | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    receivers: list[list[str]] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    #: How long it takes before it says that it took a mail.
    takes_s: float = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's own name
        self, _server: SMTP, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 there is nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's own name
        self, _server: SMTP, session: Any, envelope: Envelope
    ) -> str:
        content = envelope.original_content or b""
        self.mails.append(message_from_bytes(content, _class=EmailMessage, policy=policy.default))
        self.receivers.append(list(envelope.rcpt_tos))
        self.was_encrypted.append(session.ssl is not None)
        await asyncio.sleep(self.takes_s)
        return f"250 queued as {len(self.mails)}"


def _check_login(*given: Any) -> AuthResult:
    fits = given[-1] == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=fits, handled=False)


async def _end(server: asyncio.Server) -> None:
    """Close the server, and let each conversation end before its loop does."""
    server.close()
    talking = asyncio.all_tasks() - {asyncio.current_task()}
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
    await asyncio.sleep(0.01)  # closed transports leave the loop one round later


@contextmanager
def run_mail_server(folder: Path | None = None) -> Iterator[LocalMailServer]:
    """Serve until the block ends; with a folder, by STARTTLS only, and for one user only."""
    mail = LocalMailServer()
    options: dict[str, Any] = {"hostname": "mail.test"}
    if folder:
        authority = trustme.CA()
        mail.ca_file = folder / "mail-ca.pem"
        authority.cert_pem.write_to_path(str(mail.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        options |= {"tls_context": context, "require_starttls": True}
        options |= {"authenticator": _check_login, "auth_required": True}
    loop = asyncio.new_event_loop()
    make = partial(SMTP, mail, loop=loop, **options)
    server = loop.run_until_complete(loop.create_server(make, "127.0.0.1", 0))
    mail.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield mail
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
