"""The connection check of a pool (pre-ping): a dead connection is replaced before it is lent."""

import select
import time
from datetime import timedelta
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError


def check_before_lending(engine: sqlalchemy.Engine, trusted_for: timedelta) -> None:
    """Let `engine` ping a connection before it lends it, if the connection may be dead.

    A connection may be dead if it was idle for longer than `trusted_for`, or if its socket has
    something to read: a server that went down has closed it, which costs no round trip to see.
    """
    # SQLAlchemy keeps its event listeners for good, so they must not hold the engine.
    dialect = engine.dialect

    def note_use(_: object, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def check(connection: Any, record: Any, _: object) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:  # just made
            return
        errors = dialect.loaded_dbapi.Error
        try:
            was_idle = time.monotonic() - used_at > trusted_for.total_seconds()
            if was_idle or _has_something_to_read(connection):
                dialect.do_ping(connection)
        except errors as error:
            raise DisconnectionError(str(error)) from error

    event.listen(engine, "checkin", note_use)
    event.listen(engine, "checkout", check)


def _has_something_to_read(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
