"""The callers behind tokens: those of the environment, and those of the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from chassis.bearer_auth import Caller, Role, TokenRefusedError
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.audit_table import read_salt
from push_blaster.adapters.access.identity_keys import IdentityKeys, looks_like_identity_token
from push_blaster.domain.access.audit import hide_user
from push_blaster.domain.access.identity_token import IdentityTokenError
from push_blaster.domain.access.token import Token, fingerprint, label_of_token, subject_of
from push_blaster.use_cases.access.manage_tokens import find_token

#: No token of the environment has an owner with a name.
NOBODY: Final[Mapping[Role, str]] = MappingProxyType({})


class KnownCallers:
    """Finds callers by their tokens, or by the fingerprints of their tokens.

    The caller of an identity token is its user; every log knows users by a salted hash. The tokens
    of the environment need no database. Secrets are compared by their hashes, so that the time of a
    comparison says nothing about them.
    """

    def __init__(
        self,
        roles: Mapping[str, Role],
        database: Database,
        owners: Mapping[Role, str] = NOBODY,
        identity_keys: Sequence[str] = (),
    ) -> None:
        """Take the tokens of the environment, the database with others, and owners of the first.

        Shape: `identity_keys` sign identity tokens.
        """
        self._identity_keys = IdentityKeys(identity_keys)
        self._of_environment = {
            fingerprint(token): _name_environment(role, owners.get(role))
            for token, role in roles.items()
        }
        self._database = database

    def find(self, token: str) -> Caller | None:
        """Return the caller of `token`; DatabaseAwayError if the database is needed and away.

        Raises: TokenRefusedError, if it is an identity token that is not valid now.
        """
        known = self.find_at_once(token)
        if known is None and looks_like_identity_token(token):
            return self._find_user(token, utc_now())
        return known or self.find_by_fingerprint(fingerprint(token))

    def find_at_once(self, token: str) -> Caller | None:
        """Return the caller of `token` if it is one of the environment; it needs no database."""
        return self._of_environment.get(fingerprint(token))

    @property
    def of_environment(self) -> Mapping[str, Caller]:
        """The callers of the tokens of the environment, by the fingerprints of the tokens."""
        return self._of_environment

    def find_by_fingerprint(self, hash_: str) -> Caller | None:
        """Return the caller of the token with this fingerprint; DatabaseAwayError."""
        known = self._of_environment.get(hash_)
        if known or not hash_:
            return known
        token = find_token(self._database, hash_, utc_now())
        return _as_caller(token) if token else None

    def _find_user(self, token: str, now: datetime) -> Caller:
        try:
            user_id = self._identity_keys.read(token, now)
        except IdentityTokenError as error:
            raise TokenRefusedError(str(error), is_guess=error.fault.is_guess) from error
        with self._database.transaction() as connection:
            name = hide_user(str(user_id), read_salt(connection))
        subject = subject_of("user", name)
        return Caller(name, Role.APP, is_personal=True, subject=subject, user_id=user_id)


def _name_environment(role: Role, owner: str | None) -> Caller:
    name = role.name.lower()
    label, subject = label_of_token(name, owner), subject_of("environment", name)
    return Caller(label, role, is_personal=bool(owner), subject=subject)


def _as_caller(token: Token) -> Caller:
    role = Role.__members__.get(token.role.upper())
    if role is None:  # a newer version made it, during an upgrade
        text = f"This version knows no role {token.role!r}; send the token again after the upgrade."
        raise TokenRefusedError(text, is_guess=False)
    subject = subject_of("token", token.name)
    return Caller(token.label, role, token.is_test, bool(token.owner), subject)
