"""Record who changes the history, before it is changed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from cadence_service.adapters.history_changes import begin_change, end_change
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase

#: The caller of a command.
COMMAND_LINE: Final = "command line"


@contextmanager
def recorded(
    database: BulkDatabase, action: str, caller: str, asked: Mapping[str, object], now: datetime
) -> Iterator[dict[str, object]]:
    """Record the change that the block makes; the block adds to the dict what it has done.

    A change that ends half way keeps its record, without an end.
    """
    done: dict[str, object] = {}
    with database.transaction() as connection:
        change_id = begin_change(connection, action, caller, asked, now)
    yield done
    with database.transaction() as connection:
        end_change(connection, change_id, done, utc_now())
