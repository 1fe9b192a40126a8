"""Identity tokens: a customer's backend says by a JWT which user holds a phone or a page."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite
from typing import Any, Final
from uuid import UUID

from push_blaster.domain.audiences.audience import is_user_id

#: How long a token may be valid from now on, and how far the clock of the backend may be off.
MAX_AHEAD: Final = timedelta(hours=1)
SKEW: Final = timedelta(seconds=60)


class TokenFault(StrEnum):
    """Why an identity token is refused; the values are the answers."""

    MALFORMED = "The identity token is no JWT: it has three parts of base64url, with dots between."
    ALGORITHM = "The identity token has another algorithm: sign it with HS256."
    SIGNATURE = "The identity token is not signed with a key of this system (PUSH_IDENTITY_KEY)."
    NO_EXPIRY = "exp: The identity token has no expiry: set it, in seconds since 1970."
    EXPIRED = "exp: The identity token has expired: ask the backend for a new one."
    TOO_LONG = "exp: The identity token is valid for too long: for one hour at most."
    NOT_YET = "nbf, iat: The identity token is not yet valid: compare the clocks."
    NO_SUBJECT = "sub: The identity token names no user: set it to the user id."
    BAD_SUBJECT = "sub: The identity token names no user id: a user id is a UUID with hyphens."
    UNUSED = (
        "Identity tokens are not used here, because no key is set (PUSH_IDENTITY_KEY). Send a "
        "token of the role app from a backend."
    )

    @property
    def is_guess(self) -> bool:
        """Whether nobody who has a key made the token."""
        return self in {TokenFault.MALFORMED, TokenFault.ALGORITHM, TokenFault.SIGNATURE}


class IdentityTokenError(Exception):
    """An identity token is refused; `fault` says why."""

    def __init__(self, fault: TokenFault) -> None:
        """Take the fault."""
        super().__init__(str(fault))
        self.fault = fault


def read_user(claims: Mapping[str, Any], now: datetime) -> UUID:
    """Return the user whom the claims of a signed token name; IdentityTokenError."""
    _check_times(claims, now.timestamp())
    subject = claims.get("sub")
    if subject is None or subject == "":
        raise IdentityTokenError(TokenFault.NO_SUBJECT)
    if not isinstance(subject, str) or not is_user_id(subject):
        raise IdentityTokenError(TokenFault.BAD_SUBJECT)
    return UUID(subject)


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    skew, expires_at = SKEW.total_seconds(), _read_instant(claims.get("exp"))
    begins = [
        _read_instant(claims[name]) for name in ("nbf", "iat") if claims.get(name) is not None
    ]
    if expires_at is None:
        raise IdentityTokenError(TokenFault.NO_EXPIRY)
    faults = (
        (expires_at <= now - skew, TokenFault.EXPIRED),
        (expires_at > now + skew + MAX_AHEAD.total_seconds(), TokenFault.TOO_LONG),
        (any(at is None or at > now + skew for at in begins), TokenFault.NOT_YET),
    )
    for is_faulty, fault in faults:
        if is_faulty:
            raise IdentityTokenError(fault)


def _read_instant(value: object) -> float | None:
    """Return the instant of a claim, in seconds since 1970, or None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:  # of a whole number beyond every instant
        return None
