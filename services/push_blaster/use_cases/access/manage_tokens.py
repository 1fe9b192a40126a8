"""Create, rotate and revoke tokens; a secret is shown once, and only its hash is stored."""

import re
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.access.token_table import (
    insert_token,
    lock_hash,
    revoke,
    select_token_of,
    select_tokens,
    touch_token,
    update_secret,
)
from push_blaster.domain.access.person import show_name
from push_blaster.domain.access.token import (
    SecretChangedError,
    Token,
    TokenState,
    fingerprint,
    mark_of,
)

PREFIX: Final = "push_"
TEST_PREFIX: Final = "push_test_"
#: The shortest time between two records of a token's use.
TOUCH_EVERY_S: Final = 60
#: The names of the tokens of the environment.
RESERVED: Final = frozenset({"admin", "operator", "viewer", "app", "engine"})
MAX_OVERLAP: Final = timedelta(days=30)

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")


class BadTokenError(Exception):
    """The token cannot be created."""


class TokenExistsError(Exception):
    """The name was used before."""


class TokenNotFoundError(Exception):
    """There is no token with this name, or it is no longer valid."""


def create_token(database: Database, token: Token) -> str:
    """Store the token; return its secret, which cannot be read again.

    Raises: BadTokenError, TokenExistsError.
    """
    _check(token)
    secret = _make_secret(token)
    with database.transaction() as connection:
        if not insert_token(connection, token, fingerprint(secret)):
            raise TokenExistsError(
                f"The name {token.name!r} was used before; the audit log names callers by "
                "their tokens, so take another."
            )
    return secret


def find_mark(database: Database, name: str) -> str:
    """Return the mark of the token's present secret, for `rotate_token`; TokenNotFoundError."""
    with database.transaction() as connection:
        hash_ = lock_hash(connection, name)
    if hash_ is None:
        raise _not_found(name)
    return mark_of(hash_)


def rotate_token(
    database: Database, name: str, overlap: timedelta, now: datetime, mark: str | None = None
) -> tuple[Token, str]:
    """Give the token a new secret, and return both; the old secret stays valid for `overlap`.

    Raises: TokenNotFoundError; SecretChangedError if the secret has another `mark` meanwhile.
    """
    with database.transaction() as connection:
        hash_ = lock_hash(connection, name)
        if mark is not None and hash_ is not None and mark_of(hash_) != mark:
            raise SecretChangedError(name)
        found = select_tokens(connection, name)
        if not found or found[0].state(now) is not TokenState.VALID:
            raise _not_found(name)
        secret = _make_secret(found[0])
        until = now + min(overlap, MAX_OVERLAP)
        update_secret(connection, name, fingerprint(secret), until, now)
        return select_tokens(connection, name)[0], secret


def revoke_token(database: Database, name: str, now: datetime) -> None:
    """Revoke the token and end the sessions that began with it; TokenNotFoundError."""
    with database.transaction() as connection:
        if not revoke(connection, name, now):
            raise _not_found(name)


def find_token(database: Database, hash_: str, now: datetime) -> Token | None:
    """Return the token that the secret with this hash belongs to, and record its use."""
    with database.transaction() as connection:
        token = select_token_of(connection, hash_, now)
        if token and _is_stale(token, now):
            touch_token(connection, token.name, now, TOUCH_EVERY_S)
    return token


def _is_stale(token: Token, now: datetime) -> bool:
    used_at = token.last_used_at
    return used_at is None or used_at <= now - timedelta(seconds=TOUCH_EVERY_S)


def _make_secret(token: Token) -> str:
    return (TEST_PREFIX if token.is_test else PREFIX) + token_urlsafe(32)


def _check(token: Token) -> None:
    if not _NAME.fullmatch(token.name) or token.name in RESERVED:
        raise BadTokenError(
            f"name: {token.name!r} cannot be a token's name; use 2 to 63 lower-case letters, "
            f"digits, dots, dashes; not {', '.join(sorted(RESERVED))}."
        )
    if token.is_test and token.role not in {"viewer", "operator"}:
        raise BadTokenError("role: a test token is a viewer's or an operator's.")
    if token.owner is not None and (not token.owner or token.owner != show_name(token.owner)):
        raise BadTokenError(
            "owner: use a name of at most 80 visible characters, such as Anna Bauer, or leave it "
            "out."
        )
    if token.expires_at and token.expires_at <= token.created_at:
        raise BadTokenError("expiresAt: name an instant to come.")


def _not_found(name: str) -> TokenNotFoundError:
    return TokenNotFoundError(f"There is no token {name!r} that is valid.")
