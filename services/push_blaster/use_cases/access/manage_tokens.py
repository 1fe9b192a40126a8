"""Create, rotate and revoke tokens; a secret is told once, and only its hash is kept."""

import re
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.access.token_table import (
    insert_token,
    revoke,
    select_token_of,
    select_tokens,
    touch_token,
    update_secret,
)
from push_blaster.domain.access.token import Token, TokenState, fingerprint

PREFIX: Final = "push_"
TEST_PREFIX: Final = "push_test_"
#: How often it is written down, at the most, that a token was used.
TOUCH_EVERY_S: Final = 60
#: How the tokens of the environment are called.
RESERVED: Final = frozenset({"admin", "operator", "viewer", "engine"})
MAX_OVERLAP: Final = timedelta(days=30)

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")


class BadTokenError(Exception):
    """There can be no such token."""


class TokenExistsError(Exception):
    """The name was given out before."""


class TokenNotFoundError(Exception):
    """There is no token of this name, or it opens nothing any more."""


def create_token(database: Database, token: Token) -> str:
    """Keep the token; return its secret, which nobody can read again.

    Raises: BadTokenError, TokenExistsError.
    """
    _check(token)
    secret = _make_secret(token)
    with database.transaction() as connection:
        if not insert_token(connection, token, fingerprint(secret)):
            raise TokenExistsError(
                f"The name {token.name!r} was given out before; the audit log tells by names who "
                "did what, so take another."
            )
    return secret


def rotate_token(
    database: Database, name: str, overlap: timedelta, now: datetime
) -> tuple[Token, str]:
    """Give the token a new secret, and return both; the old secret opens for `overlap` more.

    Raises: TokenNotFoundError.
    """
    with database.transaction() as connection:
        found = select_tokens(connection, name)
        if not found or found[0].state(now) is not TokenState.VALID:
            raise _not_found(name)
        secret = _make_secret(found[0])
        update_secret(connection, name, fingerprint(secret), now + min(overlap, MAX_OVERLAP))
        return select_tokens(connection, name)[0], secret


def revoke_token(database: Database, name: str, now: datetime) -> None:
    """Let the token open nothing any more, nor the sessions begun with it; TokenNotFoundError."""
    with database.transaction() as connection:
        if not revoke(connection, name, now):
            raise _not_found(name)


def find_token(database: Database, hash_: str, now: datetime) -> Token | None:
    """Return the token that the secret with this hash opens as, and note that it was used."""
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
    if token.is_test and token.role == "admin":
        raise BadTokenError("role: a test token is a viewer's or an operator's.")
    if token.expires_at and token.expires_at <= token.created_at:
        raise BadTokenError("expiresAt: name an instant to come.")


def _not_found(name: str) -> TokenNotFoundError:
    return TokenNotFoundError(f"There is no token {name!r} that opens anything.")
