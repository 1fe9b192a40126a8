import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from environs import Env

from chassis.settings import (
    SettingsError,
    is_url,
    read_count,
    read_keys,
    read_optional_url,
    read_origins,
    read_seconds,
    read_secret,
    read_tokens,
    read_url,
    require_free_port,
    require_secret,
)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Env]:
    def make(**values: str) -> Env:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return Env()

    return make


def test_a_secret_is_a_value_or_a_file(env: Callable[..., Env], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")

    read = env(A="plain", B_FILE=str(tmp_path / "secret"), C="")

    assert [read_secret(read, name) for name in "ABCD"] == ["plain", "from the file", None, None]


def test_a_secret_given_twice_is_refused(env: Callable[..., Env]) -> None:
    with pytest.raises(SettingsError, match="Set A or A_FILE, not both"):
        read_secret(env(A="x", A_FILE="/x"), "A")


def test_a_secrets_file_that_is_not_there_is_named(env: Callable[..., Env]) -> None:
    with pytest.raises(SettingsError, match="A_FILE: cannot read /none"):
        read_secret(env(A_FILE="/none"), "A")


def test_a_secret_that_is_needed_is_asked_for(env: Callable[..., Env]) -> None:
    with pytest.raises(SettingsError, match=r"A is not set. Set it, or A_FILE"):
        require_secret(env(), "A")


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", ""])
def test_a_count_is_a_whole_number_from_1_on(env: Callable[..., Env], value: str) -> None:
    with pytest.raises(SettingsError, match=r"A is .*; use a whole number from 1 on"):
        read_count(env(A=value), "A", 10)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_time_is_a_number_of_seconds_above_zero(env: Callable[..., Env], value: str) -> None:
    with pytest.raises(SettingsError, match=r"A is .*; use a number of seconds above 0"):
        read_seconds(env(A=value), "A", 10)


def test_a_time_that_may_be_zero_is_none_below_it(env: Callable[..., Env]) -> None:
    read = env(A="0", B="-1", C="nan")

    assert read_seconds(read, "A", 10, may_be_zero=True) == timedelta(0)
    for name in "BC":
        with pytest.raises(SettingsError, match=rf"{name} is .*; use a number of seconds from 0"):
            read_seconds(read, name, 10, may_be_zero=True)


def test_what_is_not_set_has_its_default(env: Callable[..., Env]) -> None:
    assert read_count(env(), "A", 10) == 10
    assert read_seconds(env(), "A", 0.5).total_seconds() == 0.5


GOOD = "h3Qv-7zN_pT9xW2kLb8r"
LONG = f"{GOOD}-{GOOD}"


def _read(monkeypatch: pytest.MonkeyPatch, **tokens: str) -> dict[str, str]:
    for name, token in tokens.items():
        monkeypatch.setenv(name, token)
    return read_tokens(Env(), ("FIRST_TOKEN", "SECOND_TOKEN"), ("THIRD_TOKEN",))


def test_a_token_that_nobody_guesses_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    read = _read(monkeypatch, FIRST_TOKEN=GOOD, SECOND_TOKEN="0123456789abcdef")

    assert read == {"FIRST_TOKEN": GOOD, "SECOND_TOKEN": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("change-me", "is a placeholder"),
        ("CHANGE_ME_CHANGE_ME_CHANGE_ME", "is a placeholder"),
        ("please-change-me-too", "is a placeholder"),
        ("<your token goes here>", "is a placeholder"),
        ("${PUSH_ADMIN_TOKEN_OF_PROD}", "is a placeholder"),
        ("password-password-1", "is a placeholder"),
        ("fifteen-letters", r"has too few characters \(15\); a token needs 16 or more"),
        ("x", r"has too few characters \(1\)"),
        ("a token with spaces in it", "has spaces"),
        ("пароль-из-букв-кириллицы", "has spaces or characters that no header"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "has only 1 different"),
        ("abababababababababab", "has only 2 different"),
    ],
)
def test_a_token_that_is_easily_guessed_is_refused(
    monkeypatch: pytest.MonkeyPatch, token: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=f"THIRD_TOKEN {fault}.*Make a good token") as refused:
        _read(monkeypatch, FIRST_TOKEN=GOOD, SECOND_TOKEN=GOOD, THIRD_TOKEN=token)

    assert token == "x" or token not in str(refused.value)


def test_several_keys_are_read_and_each_has_to_be_good(env: Callable[..., Env]) -> None:
    first, second = f"{LONG}-1", f"{LONG}-2"

    assert read_keys(env(KEY=f" {first} ,{second},"), "KEY", [LONG]) == (first, second)
    assert read_keys(env(), "OTHER", []) == ()


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ("x" * 31, r"key 1 has too few characters \(31\); a key needs 32 or more"),
        (f"{LONG}-1,short", "key 2 has too few"),
        ("change-me-change-me-change-me-change-me", "key 1 is a placeholder"),
        ("ab" * 20, "key 1 has only 2 different"),
        (f"{LONG} {LONG}", "key 1 has spaces"),
        (LONG, "key 1 is a token of this system, too"),
    ],
)
def test_a_key_of_identity_tokens_that_is_easily_guessed_is_refused(
    env: Callable[..., Env], keys: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=f"KEY: {fault}.*Make a good key") as refused:
        read_keys(env(KEY=keys), "KEY", [LONG])

    assert keys not in str(refused.value)


def test_origins_are_read_as_browsers_write_them(env: Callable[..., Env]) -> None:
    given = (
        "https://Shop.example.com, http://localhost:3000,capacitor://localhost,https://[::1]:8443"
    )

    assert read_origins(env(ORIGINS=given), "ORIGINS") == {
        "https://shop.example.com",
        "http://localhost:3000",
        "capacitor://localhost",
        "https://[::1]:8443",
    }
    assert read_origins(env(), "OTHERS") == frozenset()


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "shop.example.com", "https://*.example.com", "http://shop.example.com"),
        *("https://shop.example.com/", "https://shop.example.com/path", "https://a@b.test"),
        *(
            "https://shop.example.com:443",
            "http://localhost:80",
            "capacitor://",
            "https://a b.test",
        ),
    ],
)
def test_origins_that_are_none_are_refused(env: Callable[..., Env], origin: str) -> None:
    with pytest.raises(SettingsError, match="ORIGINS has"):
        read_origins(env(ORIGINS=f"https://good.test,{origin}"), "ORIGINS")


def test_one_message_names_every_faulty_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("short\n")

    with pytest.raises(SettingsError) as refused:
        _read(monkeypatch, THIRD_TOKEN="change-me", SECOND_TOKEN_FILE=str(tmp_path / "token"))

    assert [word for word in str(refused.value).split() if word.endswith("_TOKEN")] == [
        "FIRST_TOKEN",
        "SECOND_TOKEN",
        "THIRD_TOKEN",
    ]


def test_tokens_that_equal_each_other_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    same = "FIRST_TOKEN and THIRD_TOKEN are the same; each needs a token of its own"

    with pytest.raises(SettingsError, match=same) as refused:
        _read(monkeypatch, FIRST_TOKEN=GOOD, SECOND_TOKEN=f"{GOOD}2", THIRD_TOKEN=GOOD)

    assert "SECOND_TOKEN" not in str(refused.value)
    assert GOOD not in str(refused.value)


@pytest.mark.parametrize(
    "secret", ["change-me", "https://change_me.test/x", "CHANGEME", "replace-me"]
)
def test_no_secret_is_a_placeholder(env: Callable[..., Env], tmp_path: Path, secret: str) -> None:
    (tmp_path / "secret").write_text(secret)
    read = env(A=secret, B_FILE=str(tmp_path / "secret"))

    for name in "AB":
        with pytest.raises(SettingsError, match=f"{name} is a placeholder, or holds one"):
            read_secret(read, name)


@pytest.mark.parametrize(
    "secret",
    ["sender@exchange-messages.iam.example.com", "https://exchange.media.test/x", "replacements"],
)
def test_a_word_that_looks_like_a_placeholder_in_the_middle_is_none(
    env: Callable[..., Env], secret: str
) -> None:
    assert read_secret(env(A=secret), "A") == secret


@pytest.mark.parametrize(
    "text",
    [
        *("http://127.0.0.1:3002", "https://hooks.garden.test/a?b=c#d", "http://[::1]:3002/x"),
        *("https://user:word@host", "http://cadence", "HTTPS://host.test", "https://bücher.test"),
    ],
)
def test_a_url_has_a_scheme_and_a_host(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text",
    [
        *("notaurl", "ftp://x", "localhost:3002", "//host", "http:host", "http:/host", "http://"),
        *("http://:3002", "http://host:", "http://host:0", "http://host:99999", "http://host:port"),
        *("http://https://host", "http://a b", "http://host/a b", " http://host", "http://host\n"),
        *("http://[::1", "http://ho$t", "mailto:a@b.test", ""),
    ],
)
def test_anything_else_is_no_url(env: Callable[..., Env], text: str) -> None:
    assert not is_url(text)
    with pytest.raises(SettingsError, match=r"^A is no URL such as http://x; correct it"):
        read_url(env(A=text), "A", "http://x")


def test_a_url_that_is_no_url_is_not_repeated(env: Callable[..., Env]) -> None:
    with pytest.raises(SettingsError, match=r"^A is no URL such as https://") as refused:
        read_optional_url(env(A="ftp://me:hidden-word@host"), "A")

    assert "hidden-word" not in str(refused.value)
    assert read_optional_url(env(), "B") is None


@pytest.mark.parametrize("text", ["http://host/?a=b", "http://host/#a"])
def test_a_base_url_ends_with_its_path(env: Callable[..., Env], text: str) -> None:
    with pytest.raises(SettingsError, match="A is no URL such as http://x"):
        read_url(env(A=text), "A", "http://x")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_named(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"A_PORT is {port}, and nothing can listen"):
            require_free_port("A_PORT", host, port)

    require_free_port("A_PORT", host, port)


def test_a_port_that_becomes_free_is_awaited() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    end = threading.Timer(0.3, taken.close)
    end.start()

    require_free_port("A_PORT", "127.0.0.1", taken.getsockname()[1], timedelta(seconds=30))

    assert taken.fileno() == -1
    end.join()


def test_a_host_that_is_not_of_this_machine_is_named() -> None:
    with pytest.raises(SettingsError, match=r"listen on 192\.0\.2\.1:1.*or correct the host"):
        require_free_port("A_PORT", "192.0.2.1", 1)
