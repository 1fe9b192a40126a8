"""Keep the time of the database in a process that serves requests."""

import time
from threading import Event, Thread
from typing import Any, Final

import structlog
from flask import Flask

from chassis.postgres import DatabaseAwayError, Pool, compare_clocks

log = structlog.get_logger()

#: How often a process compares its clock with the database's, and how often before it once has.
EVERY_S: Final = 5.0
AT_FIRST_EVERY_S: Final = 0.2
#: How long a process waits for its first comparison; a database that is away stops no start.
FIRST_S: Final = 2.0
_DATABASE: Final = "push-time"


def take_time_from(app: Flask, database: Pool[Any]) -> None:
    """Let the workers that serve `app` go by the clock of `database`."""
    app.extensions[_DATABASE] = database


def keep_time(app: Flask) -> None:
    """Compare clocks before the first request, and from a thread until the process ends."""
    compared = Event()
    given = (app.extensions[_DATABASE], compared)
    Thread(target=_compare_for_ever, args=given, daemon=True).start()
    compared.wait(FIRST_S)


def _compare_for_ever(database: Pool[Any], compared: Event) -> None:
    while True:
        try:
            with database.transaction() as connection:
                compare_clocks(connection)
            compared.set()
        except DatabaseAwayError as error:
            log.info("clocks_not_compared", reason=str(error))
        except Exception:
            log.exception("clocks_not_compared")
        time.sleep(EVERY_S if compared.is_set() else AT_FIRST_EVERY_S)
