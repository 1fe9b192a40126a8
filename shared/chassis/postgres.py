"""PostgreSQL: bounded pools of connections that heal when the server comes back."""

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final, Generic, TypeVar

import psycopg
import psycopg2
import psycopg2.extras
import sqlalchemy
import sqlalchemy.exc
import structlog
from psycopg import Connection as BulkConnection
from psycopg2.extensions import connection as Connection  # noqa: N812 - the type's public name

from chassis.client_disconnects import ClientGoneError, working_for_client
from chassis.clock import CLOCK, Comparison
from chassis.connection_check import check_before_lending

log = structlog.get_logger()

__all__ = [
    "BulkConnection",
    "BulkDatabase",
    "Connection",
    "Database",
    "DatabaseAwayError",
    "DatabaseFaultError",
    "LockedError",
    "NotMigratedError",
    "Pool",
    "PoolFullError",
    "ValueRefusedError",
    "compare_clocks",
]

AnyConnection = TypeVar("AnyConnection")


class DatabaseAwayError(Exception):
    """The database cannot be reached, or did not answer in time; a later attempt may succeed."""


class PoolFullError(DatabaseAwayError):
    """Every connection of this process was in use for too long; a later attempt may succeed."""


class LockedError(DatabaseAwayError):
    """Another transaction did not give up its lock in time; a later attempt may succeed."""


class NotMigratedError(DatabaseAwayError):
    """The schema is older than this program; the message names the command that migrates it."""


class DatabaseFaultError(Exception):
    """The database refused a statement; its own error is the cause."""


class ValueRefusedError(DatabaseFaultError):
    """The database refused a value, because it does not fit."""


class Pool(Generic[AnyConnection]):
    """A pool of at most `max_connections` to one database; it connects when it is first used."""

    #: The name of the driver in SQLAlchemy.
    dialect: ClassVar[str]
    #: The module of the driver; both name their errors as the database API of Python does.
    driver: ClassVar[Any]
    #: Options of this driver beside the options of every connection.
    own_options: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 10,
        statement_timeout: timedelta = timedelta(seconds=30),
        connection_timeout: timedelta = timedelta(seconds=5),
        trusted_for: timedelta = timedelta(seconds=5),
        application_name: str = "push-automation",
    ) -> None:
        """Take the URL of the database, the number of connections, and the time limits.

        Units: `connection_timeout` is how long a caller waits for a connection, new or pooled;
        `trusted_for` is how long a connection may be idle and still be lent without a ping.
        """
        self.url = url
        #: What each ping asks with its connection, see chassis.schema_changes.make_schema_check.
        self.check: Callable[[Any], str | None] = lambda _: None
        options = {
            "connect_timeout": max(2, int(connection_timeout.total_seconds())),  # libpq's minimum
            "application_name": application_name,
            "keepalives_idle": 30,
            "tcp_user_timeout": 30_000,
            "options": f"-c statement_timeout={int(statement_timeout.total_seconds() * 1000)}"
            " -c timezone=UTC"
            # The defaults of a role or of a database could make our statements fail.
            " -c default_transaction_isolation=read\\ committed",
            **self.own_options,
        }
        # The engine must not hold the pool, or the pool would never be freed.
        self._connect = partial(self.driver.connect, url, **options)
        self._wait_s = connection_timeout.total_seconds()
        self._trusted_for = trusted_for
        self._usual = self._urgent = self._make_engine(max_connections)
        self._is_urgent: Callable[[], bool] = lambda: False

    def add_for_urgent(self, connections: int, is_urgent: Callable[[], bool]) -> None:
        """Lend other connections, which nobody else gets, whenever `is_urgent` is true."""
        self._urgent, self._is_urgent = self._make_engine(connections), is_urgent

    def _make_engine(self, connections: int) -> sqlalchemy.Engine:
        engine = sqlalchemy.create_engine(
            f"{self.dialect}://",
            creator=self._connect,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._wait_s,
        )
        check_before_lending(engine, self._trusted_for)
        weakref.finalize(self, engine.dispose)
        return engine

    def connect(self) -> AnyConnection:
        """Return a connection outside the pool; the driver's OperationalError if there is none."""
        return self._connect()  # type: ignore[no-any-return]  # by its dialect

    @contextmanager
    def transaction(self, waits_for_locks: timedelta | None = None) -> Iterator[AnyConnection]:
        """Lend a connection; commit when the block ends, roll back when it raises.

        Units:  a statement that waits for a lock for longer than `waits_for_locks` is given up.
        Raises: DatabaseAwayError if no connection could be had, or it was lost on the way, or the
        database takes no writes; PoolFullError if all connections were in use; LockedError;
        ValueRefusedError, DatabaseFaultError if a statement failed; ClientGoneError if the
        client has hung up.
        """
        lent = self._lend()
        connection: Any = lent.driver_connection
        try:
            with working_for_client(connection):
                if waits_for_locks is not None:
                    wait_ms = int(waits_for_locks.total_seconds() * 1_000)
                    connection.cursor().execute(f"SET LOCAL lock_timeout = {wait_ms}")
                yield connection
                lent.commit()
        except BaseException as error:
            ours = self._undo(lent, error)
            if ours is None:
                raise
            raise ours from error
        finally:
            lent.close()

    def _lend(self) -> sqlalchemy.PoolProxiedConnection:
        try:
            return (self._urgent if self._is_urgent() else self._usual).raw_connection()
        except sqlalchemy.exc.TimeoutError as error:
            raise PoolFullError(
                "The database is away: every connection of this process is in use."
            ) from error
        except (self.driver.OperationalError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise DatabaseAwayError(f"The database is away: {_first_line(error)}") from error

    def _undo(
        self, lent: sqlalchemy.PoolProxiedConnection, error: BaseException
    ) -> Exception | None:
        """Clean up after `error`; return the error to raise in its place, or None to raise it."""
        ours = self._translate(error)
        if isinstance(error, ClientGoneError) or isinstance(ours, DatabaseAwayError):
            lent.invalidate()
        else:
            lent.rollback()
            ours = self._find_older_schema(lent, error) or ours
        if _is_read_only(error):
            self.close()  # the other connections are to a standby, too
        return ours

    def _find_older_schema(
        self, lent: sqlalchemy.PoolProxiedConnection, error: BaseException
    ) -> NotMigratedError | None:
        """Return the reason of a statement that names what an older schema does not have."""
        if _state(error) not in NOT_THERE:
            return None
        try:
            self.check(lent.driver_connection)
            lent.rollback()
        except NotMigratedError as older:
            lent.rollback()
            return older
        except self.driver.Error:  # the first error is the one to tell
            lent.invalidate()
        return None

    def _translate(self, error: BaseException) -> Exception | None:
        """Return one of our errors for an error of the driver, or None for any other."""
        if _is_read_only(error):
            return DatabaseAwayError("The database is away: it takes no writes at present.")
        is_away = isinstance(error, self.driver.OperationalError | self.driver.InterfaceError)
        is_full = _state(error) == _DISK_FULL
        if is_away or _passes(error):
            why = "The disk of the database is full" if is_full else "The database went away"
            kind = LockedError if _state(error) == _LOCKED else DatabaseAwayError
            return kind(f"{why}: {_first_line(error)}")
        if isinstance(error, self.driver.DataError) or _has_nul(error):
            return ValueRefusedError(_first_line(error))
        is_ours = isinstance(error, self.driver.Error)
        return DatabaseFaultError(_first_line(error)) if is_ours else None

    def ping(self) -> str | None:
        """Raise DatabaseAwayError unless the database answers, takes writes, and is migrated.

        Returns: a remark of the check, or None.
        """
        with self.transaction() as connection:
            cursor = connection.cursor()  # type: ignore[attr-defined]  # as every driver
            cursor.execute("SHOW transaction_read_only")
            if cursor.fetchone()[0] == "on":
                raise DatabaseAwayError("The database is away: it takes no writes at present.")
            return self.check(connection)

    def wait_until_available(self, sleep: Callable[[float], object]) -> None:
        """Return when the database answers; log that it is away every few seconds."""
        while True:
            try:
                self.ping()
            except DatabaseAwayError as error:
                log.warning("database_awaited", reason=str(error))
                sleep(2)
            else:
                return

    def close(self) -> None:
        """Close every idle connection."""
        for engine in {self._usual, self._urgent}:
            engine.dispose()


def database_now(connection: Any) -> datetime:
    """Return the present instant by the database of `connection`, of either driver."""
    cursor = connection.cursor()
    cursor.execute("SELECT clock_timestamp()")
    answer: datetime = cursor.fetchone()[0]
    return answer


def compare_clocks(connection: Any) -> Comparison:
    """Set the clock of this process by the database of `connection`, of either driver."""
    return CLOCK.compare(partial(database_now, connection))


class Database(Pool[Connection]):
    """A pool of psycopg2 connections, for statements with few values."""

    dialect: ClassVar[str] = "postgresql+psycopg2"
    driver: ClassVar[Any] = psycopg2

    def connect(self) -> Connection:
        """Return a connection outside the pool that knows UUIDs."""
        psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]  # missing in its stubs
        return super().connect()


class BulkDatabase(Pool[BulkConnection]):
    """A pool of psycopg 3 connections, for statements with a million values in binary.

    No statement is prepared on the server, so that PgBouncer works in transaction mode.
    """

    dialect: ClassVar[str] = "postgresql+psycopg"
    driver: ClassVar[Any] = psycopg
    own_options: ClassVar[Mapping[str, Any]] = {"prepare_threshold": None}


#: SQLSTATEs of errors after which a later attempt may succeed: a transaction that gave way to
#: another one (class 40), a server short of connections, memory or disk (class 53).
_PASSING: Final = ("40", "53")
#: The SQLSTATE of a write that a standby, or a database in a failover, refused.
_READ_ONLY: Final = "25006"
#: The SQLSTATE of a write for which the disk of the database has no room.
_DISK_FULL: Final = "53100"

#: SQLSTATEs of a table, column, function or schema that is not there.
NOT_THERE: Final = frozenset({"42P01", "42703", "42883", "3F000"})

#: The SQLSTATE of a statement that waited too long for a lock.
_LOCKED: Final = "55P03"


def _passes(error: BaseException) -> bool:
    """Return whether a later attempt may succeed although the server refused this one."""
    return _state(error).startswith(_PASSING)


def _has_nul(error: BaseException) -> bool:
    """Return whether a value held the one character that PostgreSQL's texts cannot have."""
    return isinstance(error, ValueError) and "NUL (0x00)" in str(error)


def _is_read_only(error: BaseException) -> bool:
    return _state(error) == _READ_ONLY


def _state(error: BaseException) -> str:
    return getattr(error, "pgcode", None) or getattr(error, "sqlstate", None) or ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
