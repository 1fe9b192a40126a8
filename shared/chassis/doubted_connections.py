"""Connections that died in a pool: found before they are lent, seldom at the price of a ping."""

import select
import time
from datetime import timedelta
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError


def replace_dead_connections(engine: sqlalchemy.Engine, trusted_for: timedelta) -> None:
    """Let `engine` ping a connection before it lends it, if there is reason to doubt it.

    One is doubted that has lain idle for longer than `trusted_for`, or on which something waits
    to be read: a server that went down has closed it, and that costs no round trip to see.
    """
    # The registry of events keeps what listens for good: it must not hold on to the engine.
    dialect = engine.dialect

    def remember(_: object, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def check(connection: Any, record: Any, _: object) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:  # just made
            return
        errors = dialect.loaded_dbapi.Error
        try:
            is_rested = time.monotonic() - used_at > trusted_for.total_seconds()
            if is_rested or _has_something_to_read(connection):
                dialect.do_ping(connection)
        except errors as error:
            raise DisconnectionError(str(error)) from error

    event.listen(engine, "checkin", remember)
    event.listen(engine, "checkout", check)


def _has_something_to_read(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
