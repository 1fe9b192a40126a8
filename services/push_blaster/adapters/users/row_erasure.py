"""Erase a user from the tables: rows that are about the user, and texts that name the user."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from psycopg2.sql import SQL, Composable, Identifier, Literal

from chassis.postgres import Connection, Database
from chassis.rows import execute, fetch_all, fetch_value, fetch_values, stream_rows
from push_blaster.adapters.automations.version_table import digest_of
from push_blaster.adapters.users.kept_places import TABLES, Table
from push_blaster.domain.users.erasure import NO_DEVICE, Traces

#: How many blocks of a table, of 8 KiB each, one statement reads: no index finds a text that names
#: somebody.
BLOCKS: Final = 2_000


def erase_rows(
    database: Database, traces: Traces, busy: Collection[str], going_on: Callable[[], None]
) -> None:
    """Erase the user from every table; what belongs to `busy` executions stays. Safe to repeat.

    Shape: `going_on` is called between small transactions.
    """
    values = {
        "user": traces.user_id,
        "stand_in": traces.stand_in,
        "busy": list(busy),
        "pattern": traces.pattern,
        "texts": [f"%{_escape(word)}%" for word in traces.texts],
        **{f"token{number}": token for number, token in enumerate(traces.tokens)},
    }
    for name, table in TABLES.items():
        for change in (_erase_user, _erase_arrays):
            with database.transaction() as connection:
                change(connection, name, table, values)
            going_on()
        for blocks in _find_blocks(database, name, table):
            with database.transaction() as connection:
                _erase_texts(connection, name, table, traces, {**values, **blocks})
            going_on()


def select_users(connection: Connection) -> Iterator[UUID]:
    """Yield every user of whom a table has a row; a user may come several times."""
    for name, table in TABLES.items():
        if table.user:
            column = Identifier(table.user)
            sql = SQL("SELECT DISTINCT {0} FROM {1} WHERE {0} IS NOT NULL")
            for row in stream_rows(connection, sql.format(column, Identifier(name))):
                yield row[0]


def _erase_user(
    connection: Connection, name: str, table: Table, values: Mapping[str, object]
) -> None:
    """Delete the rows of the user, or put the stand-in into them."""
    if not table.user:
        return
    if name == "events":
        _erase_events(connection, values)
        return
    where = SQL("{} = %(user)s AND {}").format(Identifier(table.user), _changeable(table))
    if table.goes:
        execute(connection, SQL("DELETE FROM {} WHERE {}").format(Identifier(name), where), values)
        return
    set_also = [
        SQL("{} = {}").format(Identifier(column), SQL(expression))
        for column, expression in (table.replaced or {}).items()
    ]
    set_user = SQL("{} = %(stand_in)s").format(Identifier(table.user))
    cleaned = [
        SQL("{} = {}").format(Identifier(column), _cleaned(column, values))
        for column in table.texts.split()
    ]
    sql = SQL("UPDATE {} SET {} WHERE {}").format(
        Identifier(name), SQL(", ").join([set_user, *set_also, *cleaned]), where
    )
    execute(connection, sql, values)


def _cleaned(column: str, values: Mapping[str, object]) -> Composable:
    cleaned: Composable = SQL("regexp_replace({}, %(pattern)s, %(stand_in)s::text, 'gi')").format(
        Identifier(column)
    )
    for token in (name for name in values if name.startswith("token")):
        cleaned = SQL("replace({}, %({})s, {})").format(cleaned, SQL(token), Literal(NO_DEVICE))
    return cleaned


def _erase_events(connection: Connection, values: Mapping[str, object]) -> None:
    """Put the stand-in into the user's events: no index finds them, but each push's partition."""
    weeks = fetch_values(connection, "SELECT DISTINCT week FROM result_pushes ORDER BY week")
    sql = """
        UPDATE events e SET user_id = %(stand_in)s
          FROM result_pushes r
         WHERE r.week = %(week)s AND e.week = r.week AND e.execution_number = r.execution_number
           AND e.position = r.position AND e.user_id = %(user)s
    """
    for week in weeks:
        execute(connection, sql, {**values, "week": week})


def _erase_arrays(
    connection: Connection, name: str, table: Table, values: Mapping[str, object]
) -> None:
    for column in table.arrays.split():
        sql = SQL(
            "UPDATE {0} SET {1} = array_replace({1}, %(user)s::uuid, %(stand_in)s::uuid)"
            " WHERE %(user)s::uuid = ANY({1})"
        ).format(Identifier(name), Identifier(column))
        execute(connection, sql, values)


def _find_blocks(database: Database, name: str, table: Table) -> Iterator[Mapping[str, str]]:
    """Yield parts of a table whose texts may name the user."""
    if table.user or not _searched(table):
        return
    sql = "SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::bigint"
    with database.transaction() as connection:
        size = int(fetch_value(connection, sql, (name,)))
    for first in range(0, size + 1, BLOCKS):
        yield {"first": f"({first},0)", "end": f"({first + BLOCKS},0)"}


def _searched(table: Table) -> list[str]:
    return " ".join((table.texts, table.lists, table.blanked)).split()


def _erase_texts(
    connection: Connection, name: str, table: Table, traces: Traces, values: Mapping[str, object]
) -> None:
    columns = _searched(table)
    texts = [SQL("{}::text").format(Identifier(column)) for column in columns]
    found = SQL(" OR ").join(
        SQL("{0} ~* %(pattern)s OR {0} LIKE ANY(%(texts)s)").format(text) for text in texts
    )
    sql = SQL(
        "SELECT ctid::text, {} FROM {} WHERE ctid >= %(first)s::tid AND ctid < %(end)s::tid"
        " AND {} AND ({}) FOR UPDATE"
    ).format(SQL(", ").join(texts), Identifier(name), _changeable(table), found)
    rows = fetch_all(connection, sql, values)
    types: dict[str, str] = dict(fetch_all(connection, _TYPES, (name,))) if rows else {}
    for place, *contents in rows:
        row = dict(zip(columns, contents, strict=True))
        changed = _clean(name, table, traces, row)
        if changed:
            _update(connection, name, place, changed, types)


def _clean(name: str, table: Table, traces: Traces, row: dict[str, Any]) -> dict[str, str | None]:
    cleaned: dict[str, str | None] = {}
    for column, text in row.items():
        if text is None or not traces.mentions(text):
            continue
        if column in table.blanked.split():
            if traces.mentions_user(text):
                cleaned[column] = ""
        elif column in table.lists.split():
            cleaned[column] = json.dumps(traces.clean_lists(json.loads(text)))
        else:
            cleaned[column] = traces.clean(text)
    document = cleaned.get("document") if name == "automation_versions" else None
    return {**cleaned, "digest": digest_of(json.loads(document))} if document else cleaned


def _update(
    connection: Connection,
    name: str,
    place: str,
    changed: Mapping[str, str | None],
    types: Mapping[str, str],
) -> None:
    columns = [SQL("{} = %({})s::{}").format(Identifier(c), SQL(c), SQL(types[c])) for c in changed]
    sql = SQL("UPDATE {} SET {} WHERE ctid = %(place)s::tid").format(
        Identifier(name), SQL(", ").join(columns)
    )
    execute(connection, sql, {**changed, "place": place})


_TYPES: Final = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
     WHERE attrelid = %s::regclass AND attnum > 0
"""


def _changeable(table: Table) -> Composable:
    if not table.execution:
        return SQL(table.found)
    return SQL("{} AND {} <> ALL(%(busy)s)").format(SQL(table.found), Identifier(table.execution))


def _escape(word: str) -> str:
    """Return a text as LIKE finds it letter by letter."""
    for special in ("\\", "%", "_"):
        word = word.replace(special, f"\\{special}")
    return word
