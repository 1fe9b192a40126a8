from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from environs import Env

from chassis.settings import (
    SettingsError,
    read_count,
    read_seconds,
    read_secret,
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
