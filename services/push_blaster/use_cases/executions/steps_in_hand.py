"""Executions whose steps run in this process; nobody begins them a second time meanwhile.

A step that takes longer than expected, such as a live send whose audience lies on a slow disk, must
not be taken over again and again by workers that then take just as long.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Condition
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.executions.execution_table import keep_dispatched

#: A step whose execution was saved ends within less.
ENDING_S: Final = 0.5
#: A step that takes less needs no statement of its own.
KEEP_AFTER_S: Final = 1.0
#: A step that takes longer may hang, for example at a disk that is gone: another engine may try.
KEEP_FOR_S: Final = 120.0


class StepsInHand:
    """The executions whose steps run in this process; safe in threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin without steps."""
        self._monotonic = monotonic
        self._begun: dict[str, float] = {}
        self._free = Condition()

    @contextmanager
    def hold(self, execution_id: str) -> Iterator[bool]:
        """Yield whether the caller may run a step; if so, nobody else may until the block ends.

        A step that is just ending is waited for: its execution may be dispatched before the end.
        """
        with self._free:
            is_free = self._free.wait_for(lambda: execution_id not in self._begun, ENDING_S)
            if is_free:
                self._begun[execution_id] = self._monotonic()
        try:
            yield is_free
        finally:
            if is_free:
                with self._free:
                    del self._begun[execution_id]
                    self._free.notify_all()

    def keep(self, database: Database, now: datetime) -> None:
        """Keep every engine from dispatching these steps again; to be called every second."""
        at = self._monotonic()
        with self._free:
            ages = {execution_id: at - begun for execution_id, begun in self._begun.items()}
        long = [id_ for id_, age_s in ages.items() if KEEP_AFTER_S <= age_s < KEEP_FOR_S]
        if long:
            with database.transaction() as connection:
                keep_dispatched(connection, long, now)
