"""The callers behind tokens: those of the environment, and those of the database."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chassis.bearer_auth import Caller, Role
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.domain.access.token import Token, fingerprint, label_of_token, subject_of
from push_blaster.use_cases.access.manage_tokens import find_token

#: No token of the environment has an owner with a name.
NOBODY: Final[Mapping[Role, str]] = MappingProxyType({})


class KnownCallers:
    """Finds callers by their tokens, or by the fingerprints of their tokens.

    The tokens of the environment need no database. Secrets are compared by their hashes, so that
    the time of a comparison says nothing about them.
    """

    def __init__(
        self, roles: Mapping[str, Role], database: Database, owners: Mapping[Role, str] = NOBODY
    ) -> None:
        """Take the tokens of the environment, the database with others, and owners of the first."""
        self._of_environment = {
            fingerprint(token): _name_environment(role, owners.get(role))
            for token, role in roles.items()
        }
        self._database = database

    def find(self, token: str) -> Caller | None:
        """Return the caller of `token`; DatabaseAwayError if the database is needed and away."""
        return self.find_by_fingerprint(fingerprint(token))

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


def _name_environment(role: Role, owner: str | None) -> Caller:
    name = role.name.lower()
    label, subject = label_of_token(name, owner), subject_of("environment", name)
    return Caller(label, role, is_personal=bool(owner), subject=subject)


def _as_caller(token: Token) -> Caller:
    role = Role[token.role.upper()]
    subject = subject_of("token", token.name)
    return Caller(token.label, role, token.is_test, bool(token.owner), subject)
