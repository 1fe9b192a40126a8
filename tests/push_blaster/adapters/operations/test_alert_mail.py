"""Alerts by e-mail, to a mail server that is true to its protocol, and to some that are not."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from push_blaster.adapters.operations.alert_mail import MailSecurity, MailServer, send_mail
from push_blaster.adapters.operations.alert_webhook import NotTakenError
from tests.builders import NOON
from tests.fakes.mail_server import PASSWORD, USER, LocalMailServer, run_mail_server
from tests.fakes.raw_server import run_raw_server

TEXT = "FAILURE Gärten & Co: the warehouse is closed\nSubject: Another\n.\nQUIT"


@pytest.fixture
def mail() -> Iterator[LocalMailServer]:
    with run_mail_server() as server:
        yield server


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[LocalMailServer]:
    with run_mail_server(tmp_path) as server:
        yield server


def reach(mail: LocalMailServer) -> MailServer:
    """Return the settings that lead to the server, whichever of the two kinds it is."""
    return MailServer(
        host="localhost",
        port=mail.port,
        sender="Push automation <alerts@example.com>",
        user=USER if mail.ca_file else None,
        password=PASSWORD if mail.ca_file else None,
        security=MailSecurity.STARTTLS if mail.ca_file else MailSecurity.NONE,
        ca_file=mail.ca_file,
        time_limit=timedelta(seconds=5),
    )


def send(server: MailServer, *to: str) -> str:
    return send_mail(server, to or ("ops@example.com",), "one-id", TEXT, NOON)


def test_a_mail_says_all_of_the_alert_in_one_message(mail: LocalMailServer) -> None:
    answer = send(reach(mail), "ops@example.com", "night@example.com")

    (got,) = mail.mails
    assert answer == "it answered 250: queued as 1"
    assert mail.receivers == [["ops@example.com", "night@example.com"]]
    assert got["Subject"] == "FAILURE Gärten & Co: the warehouse is closed Subject: Another . QUIT"
    assert got["From"] == "Push automation <alerts@example.com>"
    assert got["To"] == "ops@example.com, night@example.com"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content().splitlines() == TEXT.splitlines()


def test_a_mail_that_is_sent_again_has_the_same_id(mail: LocalMailServer) -> None:
    send(reach(mail))
    send(reach(mail))

    assert [one["Message-ID"] for one in mail.mails] == ["<one-id@example.com>"] * 2


def test_a_password_goes_only_by_an_encrypted_connection(guarded: LocalMailServer) -> None:
    send(reach(guarded))

    assert guarded.was_encrypted == [True]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "wrong"}, "it answered 535"),
        ({"password": "Schlüssel"}, r"PUSH_SMTP_PASSWORD\) has letters beyond ASCII"),
        ({"user": None}, "it answered 530"),
        ({"ca_file": None}, "certificate verify failed"),
        ({"host": "127.0.0.1"}, "certificate verify failed"),
        ({"security": MailSecurity.NONE, "user": None}, "it answered 530"),
    ],
)
def test_what_does_not_fit_is_told_in_the_words_of_the_server(
    guarded: LocalMailServer, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotTakenError, match=reason) as refused:
        send(replace(reach(guarded), **change))

    assert PASSWORD not in str(refused.value)
    assert guarded.mails == []


def test_one_address_that_is_refused_keeps_the_mail_from_no_other(mail: LocalMailServer) -> None:
    answer = send(reach(mail), "nobody@example.com", "ops@example.com")

    assert mail.receivers == [["ops@example.com"]]
    assert "nobody@example.com: it answered 550: 5.1.1 there is nobody here" in answer


def test_if_every_address_is_refused_the_mail_is_not_taken(mail: LocalMailServer) -> None:
    with pytest.raises(NotTakenError, match="550"):
        send(reach(mail), "nobody@example.com")


def test_a_server_that_is_not_there_is_named(mail: LocalMailServer) -> None:
    with pytest.raises(NotTakenError, match="no answer from localhost:9 "):
        send(replace(reach(mail), port=9))


def hang(connection: socket.socket) -> None:
    connection.recv(100)


def dribble(connection: socket.socket) -> None:
    """Begin a greeting that never ends, a character at a time."""
    while True:
        connection.sendall(b"2")
        time.sleep(0.1)


def greet_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"220-still here\r\n")
        time.sleep(0.1)


def shake_hands_without_end(connection: socket.socket) -> None:
    """Begin a record of TLS that is long, a byte at a time."""
    connection.sendall(b"\x16\x03\x03\x40\x00")
    while True:
        connection.sendall(b"\x02")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("behave", "security"),
    [
        (hang, MailSecurity.NONE),
        (dribble, MailSecurity.NONE),
        (greet_without_end, MailSecurity.NONE),
        (shake_hands_without_end, MailSecurity.TLS),
    ],
)
def test_no_server_keeps_us_longer_than_the_limit(
    mail: LocalMailServer, behave: object, security: MailSecurity
) -> None:
    with run_raw_server(behave) as url:  # type: ignore[arg-type]  # one of the four above
        port = int(url.rpartition(":")[2])
        server = replace(reach(mail), port=port, security=security)
        began = time.monotonic()
        with pytest.raises(NotTakenError, match="no answer"):
            send(replace(server, time_limit=timedelta(seconds=1)))

    assert time.monotonic() - began < 4, "promised: 1 s"
