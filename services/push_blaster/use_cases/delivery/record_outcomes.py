"""Record the outcomes of messages: in the journal at once, in the ledger when it is available."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from chassis.postgres import Database, DatabaseAwayError, DatabaseFaultError
from push_blaster.adapters.delivery.delivery_ledger import Deferral, defer, release_claims, settle
from push_blaster.adapters.delivery.outcome_journal import (
    JournalEntry,
    PageJournal,
    delete_journals,
    read_journals,
)
from push_blaster.adapters.devices.doubted_devices import insert_reported
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Delivery, Outcome, storable, with_storable_texts

log = structlog.get_logger()

#: The pause before a database that is away is asked again.
RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOutlet:
    """The ledger page to which outcomes go, and the context for writing them there."""

    database: Database
    page: LedgerPage
    clock: Callable[[], datetime]
    is_shutting_down: Callable[[], bool]


class OutcomeRecorder:
    """Writes outcomes to the ledger, and keeps those that it cannot write yet.

    While the database is away, the outcomes wait in memory and in the journal. No more of them wait
    than messages were claimed at once: all outcomes are written before more messages are claimed.
    """

    def __init__(self, outlet: LedgerOutlet, journal: PageJournal) -> None:
        """Take the ledger page, and the journal of this attempt."""
        self._outlet = outlet
        self._journal = journal
        self._unwritten: deque[JournalEntry] = deque()
        self._retry_at = 0.0

    def record(self, deliveries: Sequence[Delivery], deferrals: Sequence[Deferral] = ()) -> None:
        """Write outcomes to the journal, and to the ledger if the database is there."""
        if not deliveries and not deferrals:
            return
        entry = JournalEntry(
            self._outlet.clock(),
            tuple(map(with_storable_texts, deliveries)),
            tuple(replace(d, reason=storable(d.reason)) for d in deferrals),
        )
        self._journal.append(entry)
        self._unwritten.append(entry)
        if time.monotonic() >= self._retry_at:
            self._try_to_write()

    def write_all(self) -> None:
        """Return when every outcome is in the ledger.

        Raises: DatabaseAwayError if the engine shuts down before; the journal has the outcomes.
        """
        while self._unwritten:
            fault = self._try_to_write()
            if fault is None:
                return
            if self._outlet.is_shutting_down():
                raise fault
            time.sleep(RETRY_S)

    def close(self) -> None:
        """End the attempt; the journal stays if the ledger lacks any outcome."""
        self._journal.close(is_settled=not self._unwritten)

    def _try_to_write(self) -> DatabaseAwayError | None:
        try:
            while self._unwritten:
                _write(self._outlet, self._unwritten[0])
                self._unwritten.popleft()
        except DatabaseAwayError as error:
            log.warning("outcomes_wait_for_the_database", reason=str(error))
            self._retry_at = time.monotonic() + RETRY_S
            return error
        return None


def settle_from_journals(outlet: LedgerOutlet, data_folder: Path) -> None:
    """Settle the outcomes that earlier attempts at the page could not write; then delete them.

    This must happen before open claims of the page are treated as in doubt, and before new claims:
    an old answer must never settle a new claim.
    """
    entries = read_journals(data_folder, outlet.page)
    for entry in entries:
        _write(outlet, entry)
    if entries:
        log.info("settled_from_journal", execution=outlet.page.execution_id, entries=len(entries))
    delete_journals(data_folder, outlet.page)


def _write(outlet: LedgerOutlet, entry: JournalEntry) -> None:
    """Write an entry; an outcome that the database refuses affects only its own message."""
    try:
        _write_whole(outlet, entry)
    except DatabaseFaultError as fault:
        log.exception("outcomes_refused", execution=outlet.page.execution_id)
        if len(entry.deliveries) + len(entry.deferrals) > 1:
            for single in _split(entry):
                _write(outlet, single)
        else:
            _write_whole(outlet, _as_in_doubt(entry, str(fault)))


def _write_whole(outlet: LedgerOutlet, entry: JournalEntry) -> None:
    unsent = [d.user_id for d in entry.deliveries if d.outcome is Outcome.NOT_SENT]
    settled = [d for d in entry.deliveries if d.outcome is not Outcome.NOT_SENT]
    dead = [device for delivery in settled for device in delivery.dead_devices]
    with outlet.database.transaction() as connection:
        if dead:
            insert_reported(connection, outlet.page, dead, entry.at)
        settle(connection, outlet.page, settled, entry.at)
        defer(connection, outlet.page, entry.deferrals, entry.at)
        if unsent:
            release_claims(connection, outlet.page, unsent)
            # Claims that are still open were in doubt before, and were not sent again.
            settle(connection, outlet.page, _not_sent_again(unsent), entry.at)


def _not_sent_again(user_ids: Sequence[UUID]) -> list[Delivery]:
    reason = "stopped before it was sent again"
    return [Delivery(user_id, Outcome.IN_DOUBT, reason=reason) for user_id in user_ids]


def _split(entry: JournalEntry) -> list[JournalEntry]:
    return [JournalEntry(entry.at, (delivery,)) for delivery in entry.deliveries] + [
        JournalEntry(entry.at, (), (deferral,)) for deferral in entry.deferrals
    ]


def _as_in_doubt(entry: JournalEntry, fault: str) -> JournalEntry:
    """Return the messages of `entry` as in doubt: their outcomes cannot be written."""
    users = [d.user_id for d in entry.deliveries] + [d.user_id for d in entry.deferrals]
    reason = f"its outcome could not be written: {fault.splitlines()[0][:200]}"
    return JournalEntry(
        entry.at, tuple(Delivery(u, Outcome.IN_DOUBT, reason=reason) for u in users)
    )
