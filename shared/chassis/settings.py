"""Reading settings: from the environment, and secrets from a file where NAME_FILE says so."""

from datetime import timedelta
from pathlib import Path

from environs import Env, EnvError
from marshmallow import validate


class SettingsError(Exception):
    """A setting is missing or does not fit; the message names it and the fix."""


def read_secret(env: Env, name: str) -> str | None:
    """Return the secret `name`, or what the file `<name>_FILE` holds; None if neither is set.

    Raises: SettingsError if both are set or the file cannot be read.
    """
    value = env.str(name, None)
    path = env.str(f"{name}_FILE", None)
    if value and path:
        raise SettingsError(f"Set {name} or {name}_FILE, not both.")
    if not path:
        return value or None
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise SettingsError(f"{name}_FILE: cannot read {path} ({error.strerror}).") from error


def read_count(env: Env, name: str, default: int) -> int:
    """Return the whole number `name`, at least 1; SettingsError if it is not."""
    try:
        return env.int(name, default, validate=validate.Range(min=1))
    except EnvError as error:
        raise SettingsError(
            f"{name} is {env.str(name)!r}; use a whole number from 1 on."
        ) from error


def read_flag(env: Env, name: str) -> bool:
    """Return whether `name` is true; SettingsError if it is neither true nor false."""
    try:
        return env.bool(name, False)
    except EnvError as error:
        raise SettingsError(f"{name} is {env.str(name)!r}; use true or false.") from error


def read_seconds(env: Env, name: str, default: float, *, may_be_zero: bool = False) -> timedelta:
    """Return the time `name`, given in seconds, more than 0; SettingsError if it is not."""
    try:
        limits = validate.Range(min=0, min_inclusive=may_be_zero)
        return timedelta(seconds=env.float(name, default, validate=limits))
    except (EnvError, OverflowError, ValueError) as error:
        fitting_range = "from 0 on" if may_be_zero else "above 0"
        raise SettingsError(
            f"{name} is {env.str(name)!r}; use a number of seconds {fitting_range}."
        ) from error


def require_secret(env: Env, name: str) -> str:
    """Return the secret `name`; SettingsError if there is none."""
    value = read_secret(env, name)
    if value is None:
        raise SettingsError(f"{name} is not set. Set it, or {name}_FILE to a file that holds it.")
    return value
