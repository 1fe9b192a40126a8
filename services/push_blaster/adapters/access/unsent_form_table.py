"""The table `unsent_forms`: what somebody typed into a form whose session had ended."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_one

#: How long a form is kept, and how many forms of one person.
KEPT: Final = timedelta(days=7)
MAX_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class UnsentForm:
    """A form as it was sent.

    Shape: `caller` is the name of the person for whom its page was drawn, `path` is where it was
    sent, `fields` are names and values in their order, `files` the names of its files.
    """

    caller: str
    path: str
    fields: Sequence[tuple[str, str]]
    files: Sequence[str]


def insert_unsent(connection: Connection, hash_: str, form: UnsentForm, now: datetime) -> None:
    """Keep a form under the hash of its key; delete old forms, and too many of this person."""
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
    fields, files = json.dumps(form.fields), json.dumps(form.files)
    execute(connection, sql, (hash_, form.caller, form.path, fields, files, now))


def select_unsent(connection: Connection, hash_: str, now: datetime) -> UnsentForm | None:
    """Return the form under the hash of its key; None if it is kept no more."""
    sql = """
        SELECT caller, path, fields, files FROM unsent_forms WHERE hash = %s AND kept_at > %s
    """
    return fetch_one(connection, sql, (hash_, now - KEPT), make=_read_unsent)


def _read_unsent(caller: str, path: str, fields: str, files: str) -> UnsentForm:
    return UnsentForm(caller, path, json.loads(fields), json.loads(files))
