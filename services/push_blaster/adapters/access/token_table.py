"""The table `tokens`: names, roles and the hashes of secrets."""

from dataclasses import asdict
from datetime import datetime
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value
from push_blaster.domain.access.token import Token

_COLUMNS: Final = """
    name, role, is_test, created_at, created_by, expires_at, last_used_at, revoked_at, owner,
    greatest(previous_until, (SELECT max(valid_until) FROM previous_secrets p
                               WHERE p.name = tokens.name)) AS previous_until
"""


def insert_token(connection: Connection, token: Token, hash_: str) -> bool:
    """Insert the token; return False, and change nothing, if its name was used before."""
    sql = """
        INSERT INTO tokens (name, role, is_test, hash, created_at, created_by, expires_at, owner)
        VALUES (%(name)s, %(role)s, %(is_test)s, %(hash)s, %(created_at)s, %(created_by)s,
                %(expires_at)s, %(owner)s)
            ON CONFLICT DO NOTHING
    """
    return execute(connection, sql, {**asdict(token), "hash": hash_}) == 1


def select_tokens(connection: Connection, name: str | None = None) -> list[Token]:
    """Return all tokens, or the token with this name; revoked tokens too."""
    sql = f"""
        SELECT {_COLUMNS} FROM tokens
         WHERE %(name)s::text IS NULL OR name = %(name)s
         ORDER BY revoked_at IS NOT NULL, name
    """  # noqa: S608 - a constant
    return fetch_all(connection, sql, {"name": name}, make=Token, by_name=True)


def select_token_of(connection: Connection, hash_: str, now: datetime) -> Token | None:
    """Return the token that the secret with this hash belongs to, if the token is valid now."""
    sql = f"""
        SELECT {_COLUMNS} FROM tokens
         WHERE (hash = %(hash)s OR previous_hash = %(hash)s AND previous_until > %(now)s
                OR name = (SELECT p.name FROM previous_secrets p
                            WHERE p.hash = %(hash)s AND p.valid_until > %(now)s))
           AND revoked_at IS NULL
           AND (expires_at IS NULL OR expires_at > %(now)s)
    """  # noqa: S608 - a constant
    return fetch_one(connection, sql, {"hash": hash_, "now": now}, make=Token, by_name=True)


def lock_hash(connection: Connection, name: str) -> str | None:
    """Return the hash of the token's present secret, which nobody else changes meanwhile."""
    sql = "SELECT hash FROM tokens WHERE name = %s AND revoked_at IS NULL FOR UPDATE"
    found: str | None = fetch_value(connection, sql, (name,))
    return found


def touch_token(connection: Connection, name: str, now: datetime, min_interval_s: int) -> None:
    """Record the use of the token, unless a use was recorded shortly before."""
    sql = """
        UPDATE tokens SET last_used_at = %(now)s
         WHERE name = %(name)s
           AND (last_used_at IS NULL
                OR last_used_at <= %(now)s - make_interval(secs => %(every)s))
    """
    execute(connection, sql, {"name": name, "now": now, "every": min_interval_s})


def update_secret(
    connection: Connection, name: str, hash_: str, previous_until: datetime, now: datetime
) -> None:
    """Give a token that is not revoked a new secret; the present secret is valid until then.

    Secrets from earlier rotations stay valid as long as they were promised to be.
    """
    values = {"name": name, "hash": hash_, "until": previous_until}
    execute(connection, "DELETE FROM previous_secrets WHERE valid_until <= %s", (now,))
    sql = """
        WITH present AS (
          SELECT hash FROM tokens WHERE name = %(name)s AND revoked_at IS NULL FOR UPDATE),
        kept AS (
          INSERT INTO previous_secrets (hash, name, valid_until)
          SELECT hash, %(name)s, %(until)s FROM present)
        UPDATE tokens
           SET previous_hash = present.hash, hash = %(hash)s, previous_until = %(until)s
          FROM present
         WHERE name = %(name)s
    """
    execute(connection, sql, values)


def revoke(connection: Connection, name: str, now: datetime) -> bool:
    """Revoke a token; return False if there is no valid token with this name."""
    sql = "UPDATE tokens SET revoked_at = %(now)s WHERE name = %(name)s AND revoked_at IS NULL"
    return execute(connection, sql, {"name": name, "now": now}) == 1
