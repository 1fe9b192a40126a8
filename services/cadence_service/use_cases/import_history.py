"""Import history from a CSV: page by page, in one transaction; each import can be undone."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from threading import BoundedSemaphore
from typing import Final
from uuid import UUID

from cadence_service.adapters.history_csv import HistoryRow, PastSend
from cadence_service.adapters.import_table import (
    Import,
    ImportCounts,
    ImportSource,
    delete_history,
    end_dead_imports,
    end_import,
    insert_history,
    insert_import,
    may_import,
    save_progress,
    select_imports,
    take_import_id,
)
from cadence_service.adapters.notification_record import upsert_messages
from chassis.client_disconnects import raise_if_client_gone
from chassis.clock import utc_now
from chassis.postgres import BulkConnection, BulkDatabase

#: Rows that are held in memory at once.
PAGE: Final = 5_000
#: How many imports of one process may run or wait.
PLACES: Final = 2
#: How often a waiting import asks for its turn, in seconds.
PAUSE_S: Final = 0.3
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


class ImportUndoneError(Exception):
    """The import was undone while it ran or waited; none of its rows were kept."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("The import was undone before it was done; nothing of it was kept.")


class ImportsBusyError(Exception):
    """Too many imports run or wait already; a later attempt may succeed."""


class ImportNotFoundError(Exception):
    """There is no import of that id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest(ImportSource):
    """Where an import comes from, and its options."""

    all_or_nothing: bool
    dry_run: bool


@dataclass(slots=True)
class ImportResult(ImportCounts):
    """The counts and the bad rows of an import."""

    bad_rows: list[HistoryRow] = field(default_factory=list)
    import_id: int | None = None

    @property
    def bad(self) -> int:
        """How many rows are bad."""
        return self.total - self.valid


class _DryRunDone(Exception):  # noqa: N818 - no error: it rolls a dry run back
    pass


class ImportQueue:
    """The imports of this process: one may run and one may wait, because they hold threads."""

    def __init__(self, database: BulkDatabase) -> None:
        """Take the database that all replicas share."""
        self._database = database
        self._places = BoundedSemaphore(PLACES)

    def run(self, request: ImportRequest, rows: Iterator[HistoryRow]) -> ImportResult:
        """Import every good row, in one transaction; a dry run does the same and is rolled back.

        Imports run one after the other, over all replicas. A row is a duplicate if its user has a
        send at exactly the same instant: it is skipped and counted.
        Raises: ImportRefusedError if the request says all or nothing and a row is bad;
        ImportsBusyError; ImportUndoneError.
        """
        if not self._places.acquire(blocking=False):
            raise ImportsBusyError("An import runs, and another one waits; ask again later.")
        try:
            return _import_history(self._database, request, rows)
        finally:
            self._places.release()


def _import_history(
    database: BulkDatabase, request: ImportRequest, rows: Iterator[HistoryRow]
) -> ImportResult:
    found = ImportResult()
    import_id = 0
    try:
        with database.transaction() as connection:
            import_id = take_import_id(connection)
            with database.transaction() as another:
                insert_import(another, import_id, request, utc_now())
            _wait_for_turn(database, connection, import_id)
            _import(database, connection, import_id, request, rows, found)
            _finish(connection, import_id, found)
        found.import_id = import_id
    except _DryRunDone:
        _end(database, import_id, "undone", found, "It was a dry run.")
    except BaseException as error:
        if import_id:
            _end(database, import_id, "failed", found, str(error))
        raise
    return found


def _wait_for_turn(database: BulkDatabase, connection: BulkConnection, import_id: int) -> None:
    while not may_import(connection):
        raise_if_client_gone()
        time.sleep(PAUSE_S)
        with database.transaction() as another:
            if find_import(another, import_id).state != "queued":
                raise ImportUndoneError


def find_import(connection: BulkConnection, import_id: int) -> Import:
    """Return one import; ImportNotFoundError."""
    found = select_imports(connection, import_id)
    if not found:
        raise ImportNotFoundError(f"There is no import {import_id}.")
    return found[0]


def read_imports(connection: BulkConnection, now: datetime) -> list[Import]:
    """Return the imports, newest first, with their true states."""
    end_dead_imports(connection, now)
    return select_imports(connection)


def undo_import(connection: BulkConnection, import_id: int, caller: str, now: datetime) -> int:
    """Remove the sends that the import brought; return how many there were. Safe to repeat.

    An import that still runs stops, and none of its rows are kept.
    """
    find_import(connection, import_id)
    return delete_history(connection, import_id, caller, now)


def _import(
    database: BulkDatabase,
    connection: BulkConnection,
    import_id: int,
    request: ImportRequest,
    rows: Iterator[HistoryRow],
    found: ImportResult,
) -> None:
    _save_progress(database, import_id, found)
    while page := list(islice(rows, PAGE)):
        _import_page(connection, import_id, page, found)
        _save_progress(database, import_id, found)
    if found.bad and request.all_or_nothing:
        raise ImportRefusedError(found)
    if request.dry_run:
        raise _DryRunDone


def _finish(connection: BulkConnection, import_id: int, found: ImportResult) -> None:
    """Commit the rows and the end of an import together."""
    if not end_import(connection, import_id, "done", found, utc_now()):
        raise ImportUndoneError


def _save_progress(database: BulkDatabase, import_id: int, found: ImportResult) -> None:
    with database.transaction() as another:
        if not save_progress(another, import_id, found.total):
            raise ImportUndoneError


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
    database: BulkDatabase, import_id: int, state: str, found: ImportResult, reason: str
) -> None:
    counts = replace(found, inserted=0)
    with database.transaction() as connection:
        end_import(connection, import_id, state, counts, utc_now(), reason)
