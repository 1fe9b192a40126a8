"""Import history from a CSV: page by page, in one transaction, as a batch that can be undone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from cadence_service.adapters.history_csv import HistoryRow, PastSend
from cadence_service.adapters.import_table import (
    Import,
    ImportCounts,
    delete_history,
    end_import,
    insert_history,
    insert_import,
    lock_imports,
    save_progress,
    select_imports,
)
from cadence_service.adapters.notification_record import upsert_messages
from chassis.clock import utc_now
from chassis.postgres import BulkConnection, BulkDatabase

#: Rows that are held in memory at once.
PAGE: Final = 5_000
#: How many bad rows are listed; further ones are only counted.
MAX_LISTED: Final = 1_000


class ImportRefusedError(Exception):
    """Nothing was imported, because a row is bad and the caller asked for all or nothing."""

    def __init__(self, found: "ImportResult") -> None:
        """Take the counts and the bad rows of the file."""
        super().__init__(
            f"{found.bad} of {found.total} rows are bad, and allOrNothing was asked for; "
            "nothing was imported."
        )
        self.found = found


class ImportNotFoundError(Exception):
    """There is no import of that id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """The kind and the file of an import, and its options."""

    kind: str
    file_name: str
    all_or_nothing: bool
    dry_run: bool


@dataclass(slots=True)
class ImportResult:
    """The counts and the bad rows of an import."""

    total: int = 0
    valid: int = 0
    inserted: int = 0
    duplicates: int = 0
    bad_rows: list[HistoryRow] = field(default_factory=list)
    import_id: int | None = None

    @property
    def bad(self) -> int:
        """How many rows are bad."""
        return self.total - self.valid


class _DryRunDone(Exception):  # noqa: N818 - no error: it rolls a dry run back
    pass


def import_history(
    database: BulkDatabase, request: ImportRequest, rows: Iterator[HistoryRow]
) -> ImportResult:
    """Import every good row, in one transaction; a dry run does the same and is rolled back.

    A row whose user has a send of the very same instant is a duplicate: skipped and counted.
    Raises: ImportRefusedError if the request says all or nothing and a row is bad.
    """
    found = ImportResult()
    with database.transaction() as connection:
        import_id = insert_import(connection, request.kind, request.file_name, utc_now())
    try:
        _import(database, import_id, request, rows, found)
    except _DryRunDone:
        _end(database, import_id, "undone", found, "It was a dry run.")
    except BaseException as error:
        _end(database, import_id, "failed", found, str(error))
        raise
    else:
        found.import_id = import_id
        _end(database, import_id, "done", found)
    return found


def find_import(connection: BulkConnection, import_id: int) -> Import:
    """Return one import; ImportNotFoundError."""
    found = select_imports(connection, import_id)
    if not found:
        raise ImportNotFoundError(f"There is no import {import_id}.")
    return found[0]


def undo_import(connection: BulkConnection, import_id: int) -> int:
    """Remove the sends that the import brought; return how many there were. Safe to repeat."""
    find_import(connection, import_id)
    return delete_history(connection, import_id)


def _import(
    database: BulkDatabase,
    import_id: int,
    request: ImportRequest,
    rows: Iterator[HistoryRow],
    found: ImportResult,
) -> None:
    with database.transaction() as connection:
        lock_imports(connection)
        while page := list(islice(rows, PAGE)):
            _import_page(connection, import_id, page, found)
            with database.transaction() as another:
                save_progress(another, import_id, found.total)
        if found.bad and request.all_or_nothing:
            raise ImportRefusedError(found)
        if request.dry_run:
            raise _DryRunDone


def _import_page(
    connection: BulkConnection, import_id: int, page: list[HistoryRow], found: ImportResult
) -> None:
    distinct: dict[tuple[UUID, datetime], PastSend] = {}
    for row in page:
        found.total += 1
        if row.send is None:
            if len(found.bad_rows) < MAX_LISTED:
                found.bad_rows.append(row)
            continue
        found.valid += 1
        distinct.setdefault((row.send.user_id, row.send.sent_at), row.send)
    sends = list(distinct.values())
    message_ids = upsert_messages(connection, (send.texts for send in sends)) if sends else {}
    inserted = insert_history(connection, import_id, sends, message_ids)
    found.inserted += inserted
    found.duplicates += sum(row.send is not None for row in page) - inserted


def _end(
    database: BulkDatabase,
    import_id: int,
    state: str,
    found: ImportResult,
    reason: str | None = None,
) -> None:
    kept = found.inserted if state == "done" else 0
    counts = ImportCounts(
        total=found.total, valid=found.valid, inserted=kept, duplicates=found.duplicates
    )
    with database.transaction() as connection:
        end_import(connection, import_id, state, counts, utc_now(), reason)
