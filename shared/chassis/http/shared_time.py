"""Keep the time of the database in a process that serves requests."""

import time
from threading import Thread
from typing import Any, Final

import structlog
from flask import Flask

from chassis.postgres import DatabaseAwayError, Pool, compare_clocks

log = structlog.get_logger()

#: How often a process compares its clock with the database's.
EVERY_S: Final = 5.0
_DATABASE: Final = "push-time"


def take_time_from(app: Flask, database: Pool[Any]) -> None:
    """Let the workers that serve `app` go by the clock of `database`."""
    app.extensions[_DATABASE] = database


def keep_time(app: Flask) -> None:
    """Compare clocks from a thread until the process ends."""
    Thread(target=_compare_for_ever, args=[app.extensions[_DATABASE]], daemon=True).start()


def _compare_for_ever(database: Pool[Any]) -> None:
    while True:
        try:
            with database.transaction() as connection:
                compare_clocks(connection)
        except DatabaseAwayError as error:
            log.info("clocks_not_compared", reason=str(error))
        except Exception:
            log.exception("clocks_not_compared")
        time.sleep(EVERY_S)
