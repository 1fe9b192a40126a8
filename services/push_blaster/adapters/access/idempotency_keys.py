"""The table `idempotency_keys`: for each key of a caller, the request that used it first."""

from dataclasses import dataclass
from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key that comes with a request to a route; `request` is the SHA-256 of the request."""

    route: str
    key: str
    request: str


def insert_key(connection: Connection, use: KeyUse, now: datetime) -> bool:
    """Record the first use of a key on its route; False if the key was used before."""
    sql = """
        INSERT INTO idempotency_keys (route, key, request, used_at)
        VALUES (%s, %s, %s, %s)
            ON CONFLICT DO NOTHING
    """
    return execute(connection, sql, (use.route, use.key, use.request, now)) == 1


def select_request(connection: Connection, use: KeyUse) -> str | None:
    """Return the SHA-256 of the request that used the key first; None if the key is new."""
    sql = "SELECT request FROM idempotency_keys WHERE route = %s AND key = %s"
    found: str | None = fetch_value(connection, sql, (use.route, use.key))
    return found


def lock_decision(connection: Connection, about: str) -> None:
    """Let one transaction at a time decide about something."""
    execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 4))", (about,))


def delete_key(connection: Connection, use: KeyUse) -> None:
    """Forget the use of a key whose request was refused."""
    sql = "DELETE FROM idempotency_keys WHERE route = %s AND key = %s"
    execute(connection, sql, (use.route, use.key))


def delete_old_keys(connection: Connection, before: datetime, most: int) -> int:
    """Forget some uses from before then; return how many."""
    sql = """
        DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM idempotency_keys WHERE used_at < %s LIMIT %s))
    """
    return execute(connection, sql, (before, most))
