"""Repeat erasures after a restore: the backup brought back users who were erased after it."""

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.devices.erased_users import (
    hash_user,
    insert_hashes,
    read_salt,
    select_hashes,
)
from push_blaster.adapters.users.masked_files import find_ids
from push_blaster.adapters.users.row_erasure import select_users
from push_blaster.use_cases.users.erase_user import ask_for_erasure

#: Folders in which users may stand who are in no table.
_FOLDERS: Final = ("executions", "uploads")


def list_erasures(database: Database) -> list[str]:
    """Return the hashes of all erased users, as texts."""
    with database.transaction() as connection:
        return [hash_.hex() for hash_ in select_hashes(connection)]


def repeat_erasures(
    database: Database, data_folder: Path, hashes: Collection[str], now: datetime
) -> int:
    """Erase again whoever of these users is known; return how many. Safe to repeat.

    Raises: ValueError if a text is no hash.
    """
    erased = {bytes.fromhex(text) for text in hashes}
    with database.transaction() as connection:
        insert_hashes(connection, sorted(erased))
        salt = read_salt(connection)
    known = {user for user in _find_known(database, data_folder) if hash_user(salt, user) in erased}
    for user_id in sorted(known):
        ask_for_erasure(database, user_id, now)
    return len(known)


def _find_known(database: Database, data_folder: Path) -> Iterator[UUID]:
    with database.transaction() as connection:
        yield from select_users(connection)
    for folder in _FOLDERS:
        yield from find_ids(data_folder / folder)
