"""Schema changes while callers run: wait only briefly for a lock, then try again.

While a statement waits for an exclusive lock on a table, every later statement waits behind it.
Therefore such a statement waits only for a moment, gives way, and is repeated until it succeeds.
Every process checks whether the schema fits it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from chassis.postgres import NotMigratedError, Pool
from chassis.rows import execute, fetch_all, fetch_value

log = structlog.get_logger()

AnyConnection = TypeVar("AnyConnection")
Done = TypeVar("Done")

#: How long a statement may wait for a lock: much less than any caller waits for an answer.
LOCK_TIMEOUT: Final = timedelta(milliseconds=200)
#: The pause before the next attempt; callers that had to wait are served meanwhile.
PAUSE: Final = timedelta(seconds=1)
#: How long to repeat a change before giving it up.
GIVE_UP_AFTER: Final = timedelta(minutes=10)
_LOCK_NOT_AVAILABLE: Final = "55P03"
#: A statement that waits longer than this for a lock stands still.
STANDS_STILL: Final = timedelta(seconds=5)
_LOCK_WAITS: Final = """
      WITH waiting AS MATERIALIZED (
           SELECT pid, extract(epoch FROM clock_timestamp() - query_start)::float AS seconds
             FROM pg_stat_activity
            WHERE datname = current_database()
              AND wait_event_type = 'Lock' AND wait_event <> 'advisory'
              AND query_start < clock_timestamp() - %s)
    SELECT count(DISTINCT pid), max(seconds), string_agg(DISTINCT blocker::text, ', ')
      FROM waiting CROSS JOIN LATERAL unnest(pg_blocking_pids(pid)) AS blocker
     WHERE blocker NOT IN (SELECT pid FROM waiting)
"""


class SchemaBusyError(Exception):
    """A table was in use by others all the time; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LockWaits:
    """Statements that stand still, because other transactions hold what they need.

    Shape: `blockers` has the processes of these transactions. Units: `seconds` is the longest wait.
    """

    statements: int
    seconds: float
    blockers: str

    def __str__(self) -> str:
        """Return it for people, with what they can do."""
        return (
            f"statements that wait for a lock: {self.statements}, for up to {self.seconds:.0f} s; "
            f"process {self.blockers} of the database holds the lock, see "
            "docs/operations.md#health-does-not-know"
        )


def find_lock_waits(connection: Any) -> LockWaits | None:
    """Return what stands still in the database of `connection`; None if nothing does."""
    statements, seconds, blockers = fetch_all(connection, _LOCK_WAITS, (STANDS_STILL,))[0]
    return LockWaits(statements, seconds, blockers) if statements else None


def change_schema(
    database: Pool[AnyConnection],
    change: Callable[[AnyConnection], Done],
    give_up_after: timedelta = GIVE_UP_AFTER,
) -> Done:
    """Return what `change` returns, run in a transaction that never waits long for a lock.

    The transaction is repeated until no lock is missing.
    Raises: SchemaBusyError.
    """

    def attempt() -> Done:
        with database.transaction() as connection:
            limit_lock_waits(connection)
            return change(connection)

    return repeat_until_unlocked(attempt, give_up_after)


def limit_lock_waits(connection: Any) -> None:
    """Let statements of the present transaction fail after LOCK_TIMEOUT of waiting for a lock."""
    milliseconds = LOCK_TIMEOUT // timedelta(milliseconds=1)
    execute(connection, f"SET LOCAL lock_timeout = {milliseconds}")


def repeat_until_unlocked(attempt: Callable[[], Done], give_up_after: timedelta) -> Done:
    """Return what `attempt` returns; repeat it while a lock is missing. Raises: SchemaBusyError."""
    give_up_at = time.monotonic() + give_up_after.total_seconds()
    while True:
        try:
            return attempt()
        except Exception as error:
            if not is_lock_missing(error):
                raise
            if time.monotonic() > give_up_at:
                raise SchemaBusyError(
                    f"A table was in use for {give_up_after}: {error}. Find long transactions in "
                    "pg_stat_activity, wait for their end, and repeat the command; it goes on "
                    "where it stopped."
                ) from error
            log.info("schema_change_waits", reason=str(error).splitlines()[0])
        time.sleep(PAUSE.total_seconds())


def is_lock_missing(error: BaseException) -> bool:
    """Return whether `error`, or what caused it, is a lock that was not free in time."""
    seen: BaseException | None = error
    while seen is not None:
        code = getattr(seen, "sqlstate", None) or getattr(seen, "pgcode", None)
        if code == _LOCK_NOT_AVAILABLE:
            return True
        seen = getattr(seen, "orig", None) or seen.__cause__
    return False


def make_schema_check(folder: Path, command: str) -> Callable[[Any], str | None]:
    """Return a check of a connection's schema: a remark if it is newer than `folder` is now.

    An upgrade may write newer migrations into the folder while this program goes on.
    The check raises NotMigratedError if the schema is older; `command` migrates it.
    """
    known = max(path.name.partition("_")[0] for path in folder.glob("versions/[0-9]*.py"))
    return partial(_check_schema, known=known, command=command)


def _check_schema(connection: Any, known: str, command: str) -> str | None:
    if fetch_value(connection, "SELECT to_regclass('alembic_version') IS NULL"):
        raise NotMigratedError(f"The database is not migrated: run {command}.")
    found = fetch_value(connection, "SELECT max(version_num) FROM alembic_version") or "empty"
    if found == "empty" or found < known:
        raise NotMigratedError(
            f"The database is not migrated to this version: its schema is {found}, this program "
            f"needs {known}. Run {command}."
        )
    if found == known:
        return None
    return (
        f"Its schema {found} is newer than this program, which knows {known}. The program works "
        "with it; end an upgrade by restarting this process with the new version."
    )
