"""The table `sessions`: who is signed in, by the hash of the secret in the cookie."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that has not ended.

    Shape: `token` is the fingerprint of the token that began it. A session of a person has a
    `person_id` instead, the instant when the identity provider was asked last, since when a process
    is asking it, and the sealed tokens for asking it.
    """

    token: str
    seen_at: datetime
    person_id: int | None = None
    checked_at: datetime | None = None
    asking_since: datetime | None = None
    sealed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSessions:
    """The sessions that began with one token: how many, and when one was used last."""

    token: str
    sessions: int
    seen_at: datetime


def insert_session(
    connection: Connection, hash_: str, session: Session, now: datetime, ends_at: datetime
) -> None:
    """Insert a session that ends at the latest then, and delete those that have ended."""
    execute(connection, "DELETE FROM sessions WHERE ends_at <= %s", (now,))
    sql = """
        INSERT INTO sessions
               (hash, token, began_at, seen_at, ends_at, person_id, checked_at, sealed)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    of_person = (session.person_id, session.checked_at, session.sealed)
    execute(connection, sql, (hash_, session.token, now, session.seen_at, ends_at, *of_person))


def select_session(
    connection: Connection, hash_: str, now: datetime, seen_after: datetime
) -> Session | None:
    """Return the session, if it has not ended and was used after then."""
    sql = """
        SELECT token, seen_at, person_id, checked_at, asking_since, sealed
          FROM sessions WHERE hash = %s AND ends_at > %s AND seen_at > %s
    """
    return fetch_one(connection, sql, (hash_, now, seen_after), make=Session, by_name=True)


def touch_session(
    connection: Connection, hash_: str, now: datetime, min_interval: timedelta
) -> None:
    """Record the use of a session, unless a use was recorded shortly before."""
    sql = "UPDATE sessions SET seen_at = %s WHERE hash = %s AND seen_at <= %s"
    execute(connection, sql, (now, hash_, now - min_interval))


def begin_check(connection: Connection, hash_: str, now: datetime, given_up: datetime) -> bool:
    """Note that this process asks about a session; False if another one asks since `given_up`."""
    sql = """
        UPDATE sessions SET asking_since = %s
         WHERE hash = %s AND (asking_since IS NULL OR asking_since <= %s)
    """
    return execute(connection, sql, (now, hash_, given_up)) == 1


def end_check(
    connection: Connection, hash_: str, checked: tuple[datetime, str] | None = None
) -> None:
    """Note that this process asks no more, and what it `checked`: when, and the sealed tokens."""
    checked_at, sealed = checked or (None, None)
    sql = """
        UPDATE sessions
           SET asking_since = NULL, checked_at = coalesce(%s, checked_at),
               sealed = coalesce(%s, sealed)
         WHERE hash = %s
    """
    execute(connection, sql, (checked_at, sealed, hash_))


def delete_session(connection: Connection, hash_: str) -> None:
    """End a session."""
    execute(connection, "DELETE FROM sessions WHERE hash = %s", (hash_,))


def delete_sessions_of_person(connection: Connection, person_id: int) -> int:
    """End all sessions of a person; return how many."""
    return execute(connection, "DELETE FROM sessions WHERE person_id = %s", (person_id,))


def delete_sessions_of_token(connection: Connection, token: str) -> int:
    """End all sessions that began with the token of this fingerprint; return how many."""
    return execute(connection, "DELETE FROM sessions WHERE token = %s", (token,))


def select_token_sessions(
    connection: Connection, now: datetime, seen_after: datetime
) -> list[TokenSessions]:
    """Return the sessions that began with tokens and were used after then, last used first."""
    sql = """
        SELECT token, count(*) AS sessions, max(seen_at) AS seen_at
          FROM sessions WHERE person_id IS NULL AND ends_at > %s AND seen_at > %s
         GROUP BY token ORDER BY max(seen_at) DESC
    """
    return fetch_all(connection, sql, (now, seen_after), make=TokenSessions, by_name=True)


def use_sign_in(connection: Connection, state: str, now: datetime, ends_at: datetime) -> bool:
    """Note that an attempt to sign in is used up; False if it was used before."""
    execute(connection, "DELETE FROM used_sign_ins WHERE ends_at <= %s", (now,))
    sql = "INSERT INTO used_sign_ins (state, ends_at) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    return execute(connection, sql, (state, ends_at)) == 1
