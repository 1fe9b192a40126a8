"""Record in the audit log what a command will change, and how it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.audit_table import insert_change, read_salt, update_answer
from push_blaster.domain.access.audit import AuditedChange, describe

#: The actor of commands in the audit log.
ACTOR: Final = "command line"


@contextmanager
def audited_command(database: Database, name: str, what: object) -> Iterator[None]:
    """Record the command, run the block, and record its exit code.

    Raises: DatabaseAwayError before anything is changed.
    """
    with database.transaction() as connection:
        change = AuditedChange(
            at=utc_now(),
            actor=ACTOR,
            role=None,
            method="COMMAND",
            path=f"push-blaster {name}",
            endpoint=name,
            what=describe(what, read_salt(connection)),
            request_id=uuid4().hex,
        )
        row = insert_change(connection, change)
    code = 1
    try:
        yield
        code = 0
    finally:
        with database.transaction() as connection:
            update_answer(connection, row, code, None, utc_now())
