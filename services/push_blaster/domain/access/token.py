"""A token with a name, for the API and the pages, beside the tokens of the environment."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class TokenState(StrEnum):
    """Whether a token is valid."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its secret; only a hash of the secret is stored.

    Shape: `role` is app, viewer, operator or admin; until `previous_until` a secret from before a
    rotation opens too; `owner` is the person or the team that has the token.
    """

    name: str
    role: str
    is_test: bool
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    previous_until: datetime | None = None
    owner: str | None = None

    @property
    def label(self) -> str:
        """The name of the caller in the audit log."""
        return label_of_token(self.name, self.owner)

    def state(self, now: datetime) -> TokenState:
        """Return whether the token is valid at `now`."""
        if self.revoked_at:
            return TokenState.REVOKED
        has_expired = self.expires_at is not None and self.expires_at <= now
        return TokenState.EXPIRED if has_expired else TokenState.VALID


#: Stands in the subject of a caller between its kind and its key; no name contains it.
SEPARATOR: Final = "\x1f"


def subject_of(kind: str, key: object) -> str:
    """Return what identifies a caller for ever: a kind of callers, and the key among these."""
    return f"{kind}{SEPARATOR}{key}"


def label_of_token(name: str, owner: str | None) -> str:
    """Return the name of a caller with a token: the owner's with the token's, or the token's."""
    return f"{owner} (token {name})" if owner else name


class SecretChangedError(Exception):
    """A secret was to be replaced by a new one, and it had been replaced already."""

    def __init__(self, name: str) -> None:
        """Take the name of what has the secret."""
        super().__init__(
            f"{name!r} has another secret since this question was asked, perhaps because its form "
            "was sent twice. Nothing was changed now. If nobody copied the secret that was shown, "
            "ask for a new one once more."
        )


def mark_of(secret: str) -> str:
    """Return a short text that tells whether a secret, or its hash, is still the same."""
    return fingerprint(secret)[:16]


def fingerprint(secret: str) -> str:
    """Return the hash of a secret, which is stored, and by which its token is found."""
    return hashlib.sha256(secret.encode()).hexdigest()
