"""The table `erased_users`: hashes of users who were erased, and who are opted out for good."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import array_of, execute, fetch_value, fetch_values

_SALT: Final = "(SELECT convert_to(secret, 'UTF8') FROM stored_secrets WHERE name = 'erased-users')"


def hash_of(user: str) -> str:
    """Return SQL for the hash of a user; `user` is SQL for the id."""
    return f"sha256({_SALT} || uuid_send({user}))"


def is_erased(user: str) -> str:
    """Return SQL that says whether a user was erased; `user` is SQL for the id."""
    return f"EXISTS (SELECT FROM erased_users WHERE hash = {hash_of(user)})"


def select_erased(connection: Connection, users: Sequence[UUID]) -> set[UUID]:
    """Return which of `users` were erased."""
    sql = f"SELECT u FROM unnest(%s::uuid[]) u WHERE {is_erased('u')}"  # noqa: S608 - a constant
    return set(fetch_values(connection, sql, (array_of(users),)))


def insert_erased(connection: Connection, user_id: UUID, *, is_stand_in: bool = False) -> None:
    """Record that a user is erased, or stands for one who is; safe to repeat."""
    sql = f"""
        INSERT INTO erased_users (hash, is_stand_in) SELECT {hash_of("%s::uuid")}, %s
            ON CONFLICT DO NOTHING
    """
    execute(connection, sql, (user_id, is_stand_in))


def select_hashes(connection: Connection) -> list[bytes]:
    """Return the hashes of the users who were erased."""
    sql = "SELECT hash FROM erased_users WHERE NOT is_stand_in ORDER BY hash"
    return [bytes(hash_) for hash_ in fetch_values(connection, sql)]


def insert_hashes(connection: Connection, hashes: Sequence[bytes]) -> int:
    """Record that the users of these hashes are erased; return how many are new."""
    sql = """
        INSERT INTO erased_users (hash) SELECT h FROM unnest(%s::bytea[]) h ON CONFLICT DO NOTHING
    """
    return execute(connection, sql, (list(hashes),))


def read_salt(connection: Connection) -> bytes:
    """Return what is hashed before the id of a user."""
    return bytes(fetch_value(connection, f"SELECT {_SALT}"))


def hash_user(salt: bytes, user_id: UUID) -> bytes:
    """Return the hash of a user, as the database makes it."""
    return sha256(salt + user_id.bytes).digest()


def delete_erased(connection: Connection, user_id: UUID) -> int:
    """Let an erased user come back, unless the erasure is under way; return how many: one or none.

    The user asked for pushes again; nothing of before comes back.
    """
    sql = f"""
        DELETE FROM erased_users u
         WHERE hash = {hash_of("%(user)s::uuid")}
           AND NOT EXISTS (SELECT FROM erasures e WHERE e.hash = u.hash AND e.ended_at IS NULL)
    """  # noqa: S608 - a constant
    return execute(connection, sql, {"user": user_id})
