"""Access tokens: one request for all threads, a limit on every wait, and no trust in the answer."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from push_blaster.adapters.transports import google_tokens
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.domain.delivery.message import ProviderAwayError, TransportUnavailableError
from tests.fakes.raw_server import run_raw_server
from tests.fakes.token_server import TokenServer, make_key, run_token_server

THREADS = 8


@pytest.fixture(scope="module")
def private_key() -> str:
    return make_key()[0]


@pytest.fixture
def google() -> Iterator[TokenServer]:
    with run_token_server(None) as server:
        yield server


def account(private_key: str, url: str) -> GoogleTokens:
    return GoogleTokens(
        {"client_email": "push@garden.test", "private_key": private_key, "token_uri": url}, None
    )


@pytest.fixture
def tokens(private_key: str, google: TokenServer) -> GoogleTokens:
    return account(private_key, google.url)


def get(tokens: GoogleTokens) -> str:
    """Return the token, or the name of the error."""
    try:
        return tokens.get()
    except TransportUnavailableError as error:
        return type(error).__name__


def get_at_once(tokens: GoogleTokens) -> list[str]:
    """Return what several threads get that ask at the same time."""
    start = threading.Barrier(THREADS)

    def ask(_: int) -> str:
        start.wait()
        return get(tokens)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(ask, range(THREADS)))


def test_all_threads_share_one_request(tokens: GoogleTokens, google: TokenServer) -> None:
    google.before_answer = lambda: time.sleep(0.3)

    assert get_at_once(tokens) == ["token-1"] * THREADS
    assert google.asked == 1


def test_all_threads_share_one_refusal(tokens: GoogleTokens, google: TokenServer) -> None:
    google.before_answer = lambda: time.sleep(0.3)
    google.status = 503

    assert get_at_once(tokens) == ["ProviderAwayError"] * THREADS
    assert google.asked == 1, "google-auth does not ask three times"


def never(connection: socket.socket) -> None:
    connection.recv(65_536)
    time.sleep(30)


def byte_by_byte(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def headers_without_end(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Filler: more\r\n")
        time.sleep(0.05)


def body_without_end(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65_536)


@pytest.mark.parametrize("answer", [never, byte_by_byte, headers_without_end, body_without_end])
def test_a_token_server_that_does_not_end_holds_up_no_thread(
    private_key: str, monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr(google_tokens, "TIMEOUT_S", 0.5)
    begun = time.monotonic()

    with run_raw_server(answer) as url:
        got = get_at_once(account(private_key, f"{url}/token"))

    assert got == ["ProviderAwayError"] * THREADS
    assert time.monotonic() - begun < 10


def test_a_thread_that_waits_for_another_one_waits_for_a_limited_time(
    private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_tokens, "WAIT_S", 0.2)
    monkeypatch.setattr(google_tokens, "TIMEOUT_S", 2)

    with run_raw_server(never) as url:
        tokens = account(private_key, f"{url}/token")
        first = threading.Thread(target=get, args=(tokens,))
        first.start()
        time.sleep(0.3)
        with pytest.raises(ProviderAwayError, match="the request of another thread takes too long"):
            tokens.get()
        first.join()


def test_a_token_near_its_end_is_used_while_google_is_away(
    tokens: GoogleTokens, google: TokenServer
) -> None:
    google.lifetime_s = 200
    assert tokens.get() == "token-1"
    google.status = 503

    assert [tokens.get() for _ in range(3)] == ["token-1"] * 3
    assert google.asked == 2, "asked once more, and not again for every batch"


def test_a_token_at_its_end_is_not_used(tokens: GoogleTokens, google: TokenServer) -> None:
    google.lifetime_s = 30
    tokens.get()
    google.status = 503

    assert get(tokens) == "ProviderAwayError"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>captive portal</html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 50_000,
        b'{"access_token": "a", "expires_in": "soon"}',
        b'{"access_token": "a", "expires_in": 1e300}',
        b'{"access_token": "a", "expires_in": NaN}',
        b'{"access_token": null, "expires_in": 60}',
        b'{"access_token": 7, "expires_in": 60}',
        b'{"access_token": "a\\r\\nX-Other: b", "expires_in": 60}',
        b'{"access_token": "\\u00fc", "expires_in": 60}',
    ],
)
def test_an_answer_that_grants_nothing_means_that_google_is_away(
    tokens: GoogleTokens, google: TokenServer, body: bytes
) -> None:
    google.body = body

    assert get(tokens) == "ProviderAwayError"
    google.body = None
    assert get(tokens).startswith("token-")


@pytest.mark.parametrize("status", [301, 308, 408, 429, 500, 502, 503, 504, 599])
def test_a_status_that_says_nothing_of_our_account_means_that_google_is_away(
    tokens: GoogleTokens, google: TokenServer, status: int
) -> None:
    google.status = status

    assert get(tokens) == "ProviderAwayError"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_of_our_account_is_told_as_such(
    tokens: GoogleTokens, google: TokenServer, status: int
) -> None:
    google.status = status

    assert get(tokens) == "TransportUnavailableError"
