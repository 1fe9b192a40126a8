"""Statements and their rows, in one call each, the same over psycopg2 and psycopg 3.

A statement is text with `%(name)s` or `%s` for its values, or a composed `sql.SQL` of the driver.
A row is a tuple of its columns, unless `make` says otherwise: it is called with the columns of a
row, in the order of the statement, or by their names with `by_name`, and returns what the row
becomes. This lets a frozen dataclass read its own rows, and `make=dict, by_name=True` gives dicts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, overload
from uuid import UUID, uuid4

import psycopg.sql
import psycopg2.sql
from psycopg2.extras import execute_values

from chassis.postgres import BulkConnection, Connection

AnyConnection = Connection | BulkConnection
Statement = str | psycopg.sql.Composable | psycopg2.sql.Composable
Values = Mapping[str, Any] | Sequence[Any] | None
Row = TypeVar("Row")
_Columns = tuple[Any, ...]

#: How many rows travel at once where there may be millions.
PAGE: Final = 20_000


def execute(connection: AnyConnection, sql: Statement, values: Values = None) -> int:
    """Execute one statement and return how many rows it changed."""
    with _cursor(connection) as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


@overload
def fetch_one(
    connection: AnyConnection, sql: Statement, values: Values = None
) -> _Columns | None: ...
@overload
def fetch_one(
    connection: AnyConnection,
    sql: Statement,
    values: Values = None,
    *,
    make: Callable[..., Row],
    by_name: bool = False,
) -> Row | None: ...
def fetch_one(
    connection: AnyConnection,
    sql: Statement,
    values: Values = None,
    *,
    make: Callable[..., Any] | None = None,
    by_name: bool = False,
) -> Any:
    """Return the first row of a statement's answer, or None if it has no row."""
    with _cursor(connection) as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
        return None if row is None else _maker(cursor, make, by_name=by_name)(row)


@overload
def fetch_all(
    connection: AnyConnection, sql: Statement, values: Values = None
) -> list[_Columns]: ...
@overload
def fetch_all(
    connection: AnyConnection,
    sql: Statement,
    values: Values = None,
    *,
    make: Callable[..., Row],
    by_name: bool = False,
) -> list[Row]: ...
def fetch_all(
    connection: AnyConnection,
    sql: Statement,
    values: Values = None,
    *,
    make: Callable[..., Any] | None = None,
    by_name: bool = False,
) -> Any:
    """Return every row of a statement's answer, in its order."""
    with _cursor(connection) as cursor:
        cursor.execute(sql, values)
        return list(map(_maker(cursor, make, by_name=by_name), cursor.fetchall()))


def fetch_value(connection: AnyConnection, sql: Statement, values: Values = None) -> Any:
    """Return the first column of the first row, or None if the answer has no row."""
    row = fetch_one(connection, sql, values)
    return row[0] if row else None


def fetch_values(connection: AnyConnection, sql: Statement, values: Values = None) -> list[Any]:
    """Return the first column of every row."""
    return [row[0] for row in fetch_all(connection, sql, values)]


def stream_rows(
    connection: AnyConnection, sql: Statement, values: Values = None, page: int = PAGE
) -> Iterator[_Columns]:
    """Yield the rows of an answer as they are needed; the server keeps the rest of it.

    Units: `page` is how many rows are in memory at a time.
    """
    untyped: Any = connection
    with untyped.cursor(f"rows_{uuid4().hex}") as cursor:
        cursor.itersize = page
        cursor.execute(sql, values)
        yield from cursor


def insert_many(
    connection: Connection, sql: str, rows: Iterable[Sequence[Any]], template: str | None = None
) -> None:
    """Execute an `INSERT … VALUES %s …` for many rows, a thousand of them a statement.

    Shape: `template` is how one row is written, `(%s, %s::uuid)`, where the usual way does not do.
    """
    with connection.cursor() as cursor:
        execute_values(cursor, sql, rows, template, page_size=1_000)


def _cursor(connection: AnyConnection) -> Any:
    """Return a cursor of either driver; what is used of it here is the same in both."""
    return connection.cursor()


def _maker(
    cursor: Any, make: Callable[..., Any] | None, *, by_name: bool
) -> Callable[[_Columns], Any]:
    """Return what turns a tuple of columns into a row."""
    if make is None:
        return tuple
    if not by_name:
        return lambda row: make(*row)
    names = [column[0] for column in cursor.description]
    return lambda row: make(**dict(zip(names, row, strict=True)))


def array_of(user_ids: Iterable[UUID]) -> str:
    """Return ids as the text of a PostgreSQL array: one text instead of a value for each id."""
    return "{" + ",".join([user_id.hex for user_id in user_ids]) + "}"


def without_nul(text: str) -> str:
    """Return `text` with a mark for each NUL, the one character that PostgreSQL does not store."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
