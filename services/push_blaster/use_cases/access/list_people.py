"""List who is signed in or was lately, and end sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection, Database
from push_blaster.adapters.access.person_table import PersonAtWork, select_people, select_person
from push_blaster.adapters.access.session_table import (
    TokenSessions,
    delete_sessions_of_person,
    delete_sessions_of_token,
    select_token_sessions,
)
from push_blaster.adapters.access.token_table import select_token_of, select_tokens
from push_blaster.domain.access.token import SEPARATOR, Token
from push_blaster.use_cases.access.manage_sessions import IDLE

#: Who was here within this time is listed.
LATELY: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentToken:
    """A token of the environment: its name in the audit log, and its role."""

    label: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Somebody who is signed in, or was here lately.

    Shape: `key` names a person or a token for `end_sessions`; `subject` is the person's key at the
    identity provider, None for a token. `role` is None if the identity provider gives no role now.
    """

    key: str
    label: str
    role: str | None
    seen_at: datetime | None
    source: str
    sessions: int = 0
    subject: str | None = None


def list_people(
    database: Database, of_environment: Mapping[str, EnvironmentToken], now: datetime
) -> list[Presence]:
    """Return everybody, who was here last first; tokens of the environment by fingerprint."""
    with database.transaction() as connection:
        people = select_people(connection, now - LATELY, now, now - IDLE)
        found = _list_tokens(connection, of_environment, now)
    everybody = [*map(_show_person, people), *found]
    return sorted(everybody, key=lambda one: one.seen_at or now - LATELY, reverse=True)


def find_label(database: Database, subject: str) -> str:
    """Return the present name of a caller with this subject; a name is returned as it is."""
    kind, _, key = subject.partition(SEPARATOR)
    with database.transaction() as connection:
        if kind == "person" and key:
            return select_person(connection, int(key)).label
        tokens = select_tokens(connection, key) if kind == "token" else []
    return tokens[0].label if tokens else key or subject


def end_sessions(
    database: Database, of_environment: Mapping[str, EnvironmentToken], key: str, now: datetime
) -> int:
    """End all sessions of the person or token with this key; return how many."""
    kind, _, name = key.partition(" ")
    with database.transaction() as connection:
        if kind == "person":
            return delete_sessions_of_person(connection, int(name)) if name.isdecimal() else 0
        found = select_token_sessions(connection, now, now - IDLE)
        shown = [(one, _find_token(connection, of_environment, one, now)) for one in found]
        return sum(
            delete_sessions_of_token(connection, one.token)
            for one, token in shown
            if token and token.key == key
        )


def _list_tokens(
    connection: Connection, of_environment: Mapping[str, EnvironmentToken], now: datetime
) -> list[Presence]:
    """Return one entry for each token with sessions, or that was used lately."""
    used = [_show_token(token) for token in select_tokens(connection)]
    found = {one.key: one for one in used if one.seen_at and one.seen_at > now - LATELY}
    for sessions in select_token_sessions(connection, now, now - IDLE):
        shown = _find_token(connection, of_environment, sessions, now)
        before = found.get(shown.key, shown) if shown else None
        if shown and before:
            count = sessions.sessions + before.sessions
            found[shown.key] = replace(before, sessions=count)
    return list(found.values())


def _show_person(one: PersonAtWork) -> Presence:
    person = one.person
    return Presence(
        key=f"person {person.id}",
        label=person.label,
        role=person.role,
        sessions=one.sessions,
        seen_at=one.seen_at or person.checked_at,
        source="identity provider",
        subject=person.subject,
    )


def _find_token(
    connection: Connection,
    of_environment: Mapping[str, EnvironmentToken],
    sessions: TokenSessions,
    now: datetime,
) -> Presence | None:
    """Return the token of these sessions, yet without them; None if it is not valid any more."""
    known = of_environment.get(sessions.token)
    if known:
        return Presence(
            key=f"environment {known.role}",
            label=known.label,
            role=known.role,
            seen_at=sessions.seen_at,
            source="token of the environment",
        )
    token = select_token_of(connection, sessions.token, now)
    return _show_token(token, sessions.seen_at) if token else None


def _show_token(token: Token, seen_at: datetime | None = None) -> Presence:
    return Presence(
        key=f"token {token.name}",
        label=token.label,
        role=token.role,
        seen_at=seen_at or token.last_used_at,
        source="token",
    )
