"""The table `unsent_forms`: what somebody typed into a form whose session had ended.

What was typed is encrypted with the key in the address of its page; the database has only a hash
of the key.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography.fernet import Fernet

from chassis.postgres import Connection
from chassis.rows import execute, fetch_one
from push_blaster.domain.access.token import fingerprint

#: How long a form is kept, and how many forms of one person.
KEPT: Final = timedelta(days=7)
MAX_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class UnsentForm:
    """A form as it was sent.

    Shape: `caller` is the subject of the person for whom its page was drawn (in forms of before,
    the name), `path` is where it was sent, `fields` are names and values in their order, `files`
    the names of its files.
    """

    caller: str
    path: str
    fields: Sequence[tuple[str, str]]
    files: Sequence[str]


def insert_unsent(connection: Connection, key: str, form: UnsentForm, now: datetime) -> None:
    """Keep a form under its key; delete old forms, and too many of this person."""
    execute(connection, "DELETE FROM unsent_forms WHERE kept_at <= %s", (now - KEPT,))
    sql = """
        DELETE FROM unsent_forms WHERE hash IN (
          SELECT hash FROM unsent_forms WHERE caller = %s ORDER BY kept_at DESC OFFSET %s
        )
    """
    execute(connection, sql, (form.caller, MAX_KEPT - 1))
    sql = """
        INSERT INTO unsent_forms (hash, caller, path, fields, files, kept_at)
        VALUES (%s, %s, %s, %s, %s, %s)
    """
    sealed = [
        _cipher(key).encrypt(json.dumps(p).encode()).decode() for p in (form.fields, form.files)
    ]
    execute(connection, sql, (fingerprint(key), form.caller, form.path, *sealed, now))


def select_unsent(connection: Connection, key: str, now: datetime) -> UnsentForm | None:
    """Return the form under this key; None if it is kept no more."""
    sql = """
        SELECT caller, path, fields, files FROM unsent_forms WHERE hash = %s AND kept_at > %s
    """
    found = fetch_one(connection, sql, (fingerprint(key), now - KEPT))
    if found is None:
        return None
    caller, path, *sealed = found
    fields, files = (json.loads(_cipher(key).decrypt(part)) for part in sealed)
    return UnsentForm(caller, path, fields, files)


def _cipher(key: str) -> Fernet:
    return Fernet(urlsafe_b64encode(sha256(b"unsent form " + key.encode()).digest()))
