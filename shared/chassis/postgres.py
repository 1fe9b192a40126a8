"""PostgreSQL: a bounded pool of psycopg2 connections that heals when the server comes back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import sqlalchemy
import sqlalchemy.exc
import structlog
from psycopg2 import DataError as ValueRefusedError
from psycopg2 import Error as DatabaseFaultError
from psycopg2.extensions import connection as Connection  # noqa: N812 - the type's public name

log = structlog.get_logger()

__all__ = ["Connection", "Database", "DatabaseAwayError", "DatabaseFaultError", "ValueRefusedError"]


class DatabaseAwayError(Exception):
    """The database cannot be reached, or did not answer in time; trying again later helps."""


class Database:
    """A pool of at most `max_connections` to one database; nothing connects before it is used."""

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 10,
        statement_timeout: timedelta = timedelta(seconds=30),
        patience: timedelta = timedelta(seconds=5),
        application_name: str = "push-automation",
    ) -> None:
        """Take the database's URL, how many connections there may be, and how long things may take.

        Units: `patience` is how long a connection, a new one or a lent one, is waited for.
        """
        psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]  # missing in its stubs
        self.url = url
        self.connect = _connector(url, statement_timeout, patience, application_name)
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://",
            creator=self.connect,
            pool_size=max_connections,
            max_overflow=0,
            pool_timeout=patience.total_seconds(),
            pool_pre_ping=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Lend a connection; commit when the block ends, roll back when it raises.

        Raises: DatabaseAwayError if no connection could be had, or it was lost on the way.
        """
        try:
            lent = self._engine.raw_connection()
        except (psycopg2.OperationalError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise DatabaseAwayError(f"The database is away: {_first_line(error)}") from error
        try:
            yield lent.driver_connection  # type: ignore[misc]  # psycopg2's, by our creator
            lent.commit()
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            lent.invalidate()
            raise DatabaseAwayError(f"The database went away: {_first_line(error)}") from error
        except BaseException:
            lent.rollback()
            raise
        finally:
            lent.close()

    def ping(self) -> None:
        """Raise DatabaseAwayError unless the database answers."""
        with self.transaction() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def wait_until_there(self, sleep: Callable[[float], object]) -> None:
        """Return when the database answers; until then say so in the log, every few seconds."""
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
        self._engine.dispose()


def _connector(
    url: str, statement_timeout: timedelta, patience: timedelta, application_name: str
) -> Callable[[], Any]:
    milliseconds = int(statement_timeout.total_seconds() * 1000)

    def connect() -> Connection:
        return psycopg2.connect(
            url,
            connect_timeout=max(2, int(patience.total_seconds())),  # libpq takes no less
            application_name=application_name,
            keepalives_idle=30,
            tcp_user_timeout=30_000,
            options=f"-c statement_timeout={milliseconds} -c timezone=UTC",
        )

    return connect


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
