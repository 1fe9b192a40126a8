"""Reading settings: from the environment, and secrets from a file where NAME_FILE says so."""

import errno
import re
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from environs import Env, EnvError
from marshmallow import validate
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from chassis.logs import LogFormat

Setting = TypeVar("Setting")
Options = ParamSpec("Options")

#: How long the workers of a server that was killed may keep its port.
ORPHANS: Final = timedelta(seconds=3)
#: The shortest token that nobody guesses, and how few different characters make a weak one.
MIN_TOKEN: Final = 16
_TOO_UNIFORM: Final = 4
#: The shortest key of signatures by HMAC-SHA256: as long as its hash, in characters.
MIN_KEY: Final = 32
#: Texts of examples and manuals; a random token holds none of these.
_PLACEHOLDER: Final = re.compile(
    r"change.?me|replace.?me|your.?token|secret.?token|placeholder|password|example"
    r"|^[<{$\[]|[>}\]]$",
    re.IGNORECASE,
)
#: What stands in examples in the place of any secret, and is no part of a word such as exchange.
_CHANGE_ME: Final = re.compile(r"(?<![a-z])(change|replace).?me(?![a-z])", re.IGNORECASE)
_HOST: Final = re.compile(r"[\w.-]+|[0-9a-f:.]+", re.IGNORECASE)
_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_IN_HEADERS: Final = re.compile(r"[!-~]+")
_HOW_TO: Final = (
    "Make a good {} with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
)


class SettingsError(Exception):
    """A setting is missing or does not fit; the message names it and the fix."""


class SettingsReader:
    """Reads one setting after the other, and names all that do not fit in one message."""

    def __init__(self) -> None:
        self.env = Env()
        self._faults: list[str] = []

    def __call__(
        self,
        read: Callable[Concatenate[Env, Options], Setting],
        *args: Options.args,
        **options: Options.kwargs,
    ) -> Setting:
        """Return what `read` returns; after a fault None, and `finish` raises."""
        try:
            return read(self.env, *args, **options)
        except SettingsError as error:
            self._faults.append(str(error))
            return cast(Setting, None)

    def check_port(
        self, name: str, host: str, port: int | None, wait: timedelta = timedelta(0)
    ) -> None:
        """Check that this process can listen on `port`; None is not set, or was refused before."""
        if port is not None:
            self(lambda _: require_free_port(name, host, port, wait))

    def finish(self) -> None:
        """Raise a SettingsError that names every fault, if there is one."""
        if self._faults:
            raise SettingsError("\n".join(self._faults))


def read_secret(env: Env, name: str) -> str | None:
    """Return the secret `name`, or what the file `<name>_FILE` holds; None if neither is set.

    Raises: SettingsError if both are set, the file cannot be read, or it is a placeholder.
    """
    secret = _read_secret(env, name)
    if secret and _CHANGE_ME.search(secret):
        raise SettingsError(f"{name} is a placeholder, or holds one; set it to the real value.")
    return secret


def _read_secret(env: Env, name: str) -> str | None:
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


def read_count(env: Env, name: str, default: int, *, least: int = 1) -> int:
    """Return the whole number `name`, not below `least`; SettingsError if it is not one."""
    try:
        return env.int(name, default, validate=validate.Range(min=least))
    except EnvError as error:
        raise SettingsError(
            f"{name} is {env.str(name)!r}; use a whole number from {least} on."
        ) from error


def read_optional_count(env: Env, name: str, least: int = 0) -> int | None:
    """Return the whole number `name`, None if it is not set; SettingsError if it is not one."""
    return read_count(env, name, least, least=least) if env.str(name, None) else None


def read_days(env: Env, name: str, default: timedelta) -> timedelta:
    """Return the time `name`, given in days, at least 1 day; SettingsError if it is not."""
    days = read_count(env, name, default.days)
    try:
        return timedelta(days=days)
    except OverflowError as error:
        raise SettingsError(f"{name} is {days}; use fewer days.") from error


def read_port(env: Env, name: str, default: int) -> int:
    """Return the port `name`; SettingsError if it is none."""
    try:
        return env.int(name, default, validate=validate.Range(min=1, max=65_535))
    except EnvError as error:
        raise SettingsError(
            f"{name} is {env.str(name)!r}; use a port, a number from 1 to 65535."
        ) from error


def read_optional_port(env: Env, name: str) -> int | None:
    """Return the port `name`, None if it is not set; SettingsError if it is none."""
    return read_port(env, name, 1) if env.str(name, None) else None


def read_url(env: Env, name: str, default: str) -> str:
    """Return the base URL `name`, http or https; SettingsError, without its text, if it is none."""
    url = env.str(name, default)
    if not is_url(url) or "?" in url or "#" in url:
        raise SettingsError(f"{name} is no URL such as {default}; correct it.")
    return url


def read_optional_url(env: Env, name: str) -> str | None:
    """Return the URL `name`, which may be a secret; SettingsError, without its text, if it is none.

    Returns: None if it is not set.
    """
    url = read_secret(env, name)
    if url and not is_url(url):
        raise SettingsError(f"{name} is no URL such as https://host.example.com/path; correct it.")
    return url


def is_url(text: str) -> bool:
    """Return whether `text` is a whole URL of http or https."""
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:
        return False
    is_whole = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.hostname or "")
    return bool(is_whole and has_port and not re.search(r"[\s\x00-\x1f]", text))


def is_secure_url(text: str) -> bool:
    """Return whether `text` is a whole URL of https, or of http to this machine."""
    if not is_url(text):
        return False
    parts = urlsplit(text)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its own word, without asking a name server."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def require_free_port(name: str, host: str, port: int, wait: timedelta = timedelta(0)) -> None:
    """Raise SettingsError unless this process can listen on `port`, the setting `name`.

    Units: a port that is taken may become free within `wait`.
    """
    give_up_at = time.monotonic() + wait.total_seconds()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < give_up_at:
                time.sleep(0.1)
                continue
            raise SettingsError(
                f"{name} is {port}, and nothing can listen on {host}:{port} ({error.strerror}). "
                f"End the process that listens there, set {name} to another port, or correct the "
                "host."
            ) from error
        return


def require_database_url(env: Env, name: str) -> str:
    """Return the URL of a PostgreSQL database; SettingsError, without a password, if it is none."""
    url = require_secret(env, name)
    try:
        given = conninfo_to_dict(url)
        ports = [int(port) for port in str(given.get("port") or "5432").split(",")]
        fits = bool({"dbname", "service"} & given.keys()) and all(
            0 < port < 65_536 for port in ports
        )
    except (ProgrammingError, ValueError):
        fits = False
    if not fits:
        raise SettingsError(
            f"{name} is no URL such as postgresql://user:password@host:5432/database; correct it."
        )
    return url


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
        raise SettingsError(f"{name} {_is_missing(name)}.")
    return value


def _is_missing(name: str) -> str:
    return f"is not set. Set it, or {name}_FILE to a file that holds it"


def read_log_format(env: Env) -> LogFormat:
    """Return LOG_FORMAT: "console" if it says so, else "json"."""
    return "console" if env.str("LOG_FORMAT", "json") == "console" else "json"


def read_tokens(
    env: Env,
    required: Sequence[str],
    optional: Sequence[str] = (),
    may_be_equal: Collection[str] = (),
) -> dict[str, str]:
    """Return the tokens that are set, by their names.

    Raises: SettingsError, which names every token that is missing, short or a placeholder, and
    tokens that equal each other, unless all of them are in `may_be_equal`.
    """
    tokens = {name: _read_secret(env, name) for name in dict.fromkeys((*required, *optional))}
    faults = [
        f"{name} {fault}."
        for name, token in tokens.items()
        for fault in [_find_fault(token) if token else name in required and _is_missing(name)]
        if fault
    ]
    found = {name: token for name, token in tokens.items() if token}
    faults += _find_equal(found, may_be_equal)
    if faults:
        raise SettingsError(" ".join([*faults, _HOW_TO.format("token")]))
    return found


def read_keys(env: Env, name: str, tokens: Collection[str]) -> tuple[str, ...]:
    """Return the keys of signatures `name`, separated by commas; the first may be a new one.

    Raises: SettingsError if a key is short, a placeholder, or one of `tokens`.
    """
    keys = tuple(key.strip() for key in (_read_secret(env, name) or "").split(",") if key.strip())
    found = [
        (place, fault)
        for place, key in enumerate(keys, 1)
        if (fault := _find_key_fault(key, tokens))
    ]
    if found:
        place, fault = found[0]
        raise SettingsError(f"{name}: key {place} {fault}. {_HOW_TO.format('key')}")
    return keys


def _find_key_fault(key: str, tokens: Collection[str]) -> str | None:
    if key in tokens:
        return "is a token of this system, too; a key opens nothing else"
    if len(key) < MIN_KEY:
        return f"has too few characters ({len(key)}); a key needs {MIN_KEY} or more"
    return _find_fault(key)


def read_origins(env: Env, name: str) -> frozenset[str]:
    """Return the origins of pages `name`, separated by commas; SettingsError if one is none."""
    given = [text.strip().lower() for text in env.str(name, "").split(",") if text.strip()]
    wrong = next((text for text in given if not _is_origin(text)), None)
    if wrong is not None:
        raise SettingsError(
            f"{name} has {wrong!r}; write each origin as a browser sends it, without a path, such "
            "as https://shop.example.com. All origins (*) or null cannot be allowed, and http is "
            "only for this machine."
        )
    return frozenset(given)


def _is_origin(text: str) -> bool:
    """Return whether a text is an origin; apps have schemes of their own, as capacitor://localhost."""
    scheme, _, host = text.partition("://")
    if scheme in {"http", "https"}:
        usual_port = {"http": ":80", "https": ":443"}[scheme]
        return is_secure_url(text) and not text.endswith(usual_port) and not set(host) & set("/?#@")
    return bool(_OWN_SCHEME.fullmatch(scheme) and _HOST.fullmatch(host))


def _find_equal(tokens: Mapping[str, str], may_be_equal: Collection[str]) -> list[str]:
    equal = [[name for name in tokens if tokens[name] == token] for token in set(tokens.values())]
    return [
        f"{' and '.join(names)} are the same; each needs a token of its own."
        for names in sorted(equal)
        if len(names) > 1 and not set(names) <= set(may_be_equal)
    ]


def _find_fault(token: str) -> str | None:
    """Return why the token is easily guessed, without a part of the token; or None."""
    size, different = len(token), len(set(token))
    faults = (
        (_PLACEHOLDER.search(token), "is a placeholder"),
        (size < MIN_TOKEN, f"has too few characters ({size}); a token needs {MIN_TOKEN} or more"),
        (not _IN_HEADERS.fullmatch(token), "has spaces or characters that no header can hold"),
        (different <= _TOO_UNIFORM, f"has only {different} different characters"),
    )
    return next((text for is_faulty, text in faults if is_faulty), None)
