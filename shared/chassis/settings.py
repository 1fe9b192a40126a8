"""Reading settings: from the environment, and secrets from a file where NAME_FILE says so."""

from pathlib import Path

from environs import Env


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


def require_secret(env: Env, name: str) -> str:
    """Return the secret `name`; SettingsError if there is none."""
    value = read_secret(env, name)
    if value is None:
        raise SettingsError(f"{name} is not set. Set it, or {name}_FILE to a file that holds it.")
    return value
