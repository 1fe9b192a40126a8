"""A queue for big reports: few of them run at a time, over all replicas together."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from chassis.client_disconnects import raise_if_client_gone
from chassis.postgres import BulkConnection, BulkDatabase
from chassis.rows import fetch_value

#: Advisory locks of this number space, one for each report that may run.
LOCK_SPACE: Final = 78
#: How many reports run at a time.
RUNNING: Final = 2
#: How many reports of one process run or wait; others need their threads, too.
WAITING: Final = 3
_PAUSE_S: Final = 0.2


class ReportsBusyError(Exception):
    """Too many reports run or wait already; a later attempt may succeed."""


class ReportQueue:
    """The reports of this process."""

    def __init__(self, database: BulkDatabase) -> None:
        """Take the database that all replicas share."""
        self._database = database
        self._places = BoundedSemaphore(WAITING)

    @contextmanager
    def turn(self) -> Iterator[BulkConnection]:
        """Wait for the turn of a report, and lend it a connection; its client may hang up.

        Raises: ReportsBusyError, ClientGoneError.
        """
        if not self._places.acquire(blocking=False):
            raise ReportsBusyError(
                f"{RUNNING} reports run, and others wait; ask again when they are done."
            )
        try:
            with self._wait() as connection:
                yield connection
        finally:
            self._places.release()

    @contextmanager
    def _wait(self) -> Iterator[BulkConnection]:
        while True:
            raise_if_client_gone()
            with self._database.transaction() as connection:
                if _take_turn(connection):
                    yield connection
                    return
            time.sleep(_PAUSE_S)


def _take_turn(connection: BulkConnection) -> bool:
    """Return whether a turn was free; it is taken until the transaction ends."""
    take = "SELECT pg_try_advisory_xact_lock(%(space)s, %(number)s)"
    return any(
        fetch_value(connection, take, {"space": LOCK_SPACE, "number": number})
        for number in range(RUNNING)
    )
