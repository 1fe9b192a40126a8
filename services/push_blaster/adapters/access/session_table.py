"""The table `sessions`: who is signed in, by the hash of the secret in the cookie."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.postgres import Connection
from chassis.rows import execute, fetch_one


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended.

    Shape: `token` is the fingerprint of the token that began it.
    """

    token: str
    seen_at: datetime


def insert_session(
    connection: Connection, hash_: str, token: str, now: datetime, ends_at: datetime
) -> None:
    """Insert a session that ends at the latest then, and delete those that have ended."""
    execute(connection, "DELETE FROM sessions WHERE ends_at <= %s", (now,))
    sql = """
        INSERT INTO sessions (hash, token, began_at, seen_at, ends_at)
        VALUES (%s, %s, %s, %s, %s)
    """
    execute(connection, sql, (hash_, token, now, now, ends_at))


def select_session(
    connection: Connection, hash_: str, now: datetime, seen_after: datetime
) -> Session | None:
    """Return the session, if it has not ended and was used after then."""
    sql = "SELECT token, seen_at FROM sessions WHERE hash = %s AND ends_at > %s AND seen_at > %s"
    return fetch_one(connection, sql, (hash_, now, seen_after), make=Session)


def touch_session(
    connection: Connection, hash_: str, now: datetime, min_interval: timedelta
) -> None:
    """Record the use of a session, unless a use was recorded shortly before."""
    sql = "UPDATE sessions SET seen_at = %s WHERE hash = %s AND seen_at <= %s"
    execute(connection, sql, (now, hash_, now - min_interval))


def delete_session(connection: Connection, hash_: str) -> None:
    """End a session."""
    execute(connection, "DELETE FROM sessions WHERE hash = %s", (hash_,))
