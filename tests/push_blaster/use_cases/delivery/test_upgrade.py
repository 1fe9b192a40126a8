"""A send that one version began and another ends: upgraded between them, and side by side."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from psycopg2 import sql

from chassis.migrations import migrate
from chassis.postgres import Connection, Database
from chassis.rows import fetch_all
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.cli import MIGRATIONS
from tests.push_blaster.bench import Bench

#: The first version's migration, and the one before the newest.
OLDER: Final = ("0001", sorted(MIGRATIONS.glob("versions/*.py"))[-2].stem[:4])
#: Where an execution stands, parents first.
TABLES: Final = (
    "executions",
    "execution_phases",
    "execution_pushes",
    "send_batches",
    "deliveries",
    "execution_log",
)
USERS: Final = 50

Rows = Mapping[str, list[dict[str, Any]]]


@pytest.fixture
def half_sent(bench: Bench) -> tuple[str, Rows]:
    """An execution of two pushes whose engine is gone in the middle of the first, and its rows."""
    execution_id = bench.start(parameters={"users": USERS}, pushes=[{}, {"layerId": 1}])
    bench.work_until_sent(25)
    bench.is_shutting_down = lambda: False
    with bench.database.transaction() as connection:
        rows = {table: _read_rows(connection, table) for table in TABLES}
    states = Counter(row["state"] for row in rows["deliveries"])
    assert 0 < states["sent"] < USERS
    return execution_id, rows


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with nothing in it."""
    name = f"upgrade_{abs(hash(request.node.name))}"
    database = Database(postgres.create_database(name), max_connections=6)
    yield database
    database.close()


@pytest.mark.parametrize("older", OLDER)
def test_what_an_older_version_left_half_sent_is_sent_after_the_upgrade(
    bench: Bench, half_sent: tuple[str, Rows], fresh: Database, older: str
) -> None:
    execution_id, rows = half_sent
    migrate(fresh, MIGRATIONS, to=older)
    with fresh.transaction() as connection:
        _write_rows(connection, rows, _read_columns(connection))

    migrate(fresh, MIGRATIONS)

    _assert_ends_well(bench, fresh, execution_id)


@pytest.mark.parametrize("older", OLDER)
def test_what_an_older_version_still_writes_after_the_migration_is_sent_by_the_newer(
    bench: Bench, half_sent: tuple[str, Rows], fresh: Database, older: str
) -> None:
    execution_id, rows = half_sent
    migrate(fresh, MIGRATIONS, to=older)
    with fresh.transaction() as connection:
        known = _read_columns(connection)

    migrate(fresh, MIGRATIONS)
    with fresh.transaction() as connection:
        _write_rows(connection, rows, known)

    _assert_ends_well(bench, fresh, execution_id)


def _assert_ends_well(bench: Bench, database: Database, execution_id: str) -> None:
    """Let this version's engine go on over `database`: everybody gets each push, and gets it once.

    Messages in doubt may come twice.
    """
    bench.change(database=database)
    bench.database = database

    ended = bench.run(execution_id)

    assert ended.phase == "completed", ended.reason
    lines = (bench.folder / "messages.jsonl").read_text().splitlines()
    sent = Counter(json.loads(line)["displayTag"] for line in lines)
    again = {tag for tag, times in sent.items() if times > 1}
    in_doubt = sum(d["was_in_doubt"] for d in bench.deliveries(execution_id))
    assert (len(sent), len(again) <= in_doubt) == (2 * USERS, True)
    assert [bench.funnel(execution_id, position)["sent"] for position in (1, 2)] == [USERS, USERS]
    with database.transaction() as connection:
        found = fetch_all(connection, "SELECT execution_number, position FROM result_pushes")
    assert sorted(found) == [(ended.number, 1), (ended.number, 2)], "receipts name them"


def _read_columns(connection: Connection) -> Mapping[str, list[str]]:
    """Return the columns that each table has, in this version of the schema."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
            " WHERE table_name = ANY(%(tables)s) AND is_identity = 'NO' GROUP BY table_name",
            {"tables": list(TABLES)},
        )
        return dict(cursor.fetchall())


def _read_rows(connection: Connection, table: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT to_jsonb(t) FROM {} t").format(sql.Identifier(table)))
        return [row[0] for row in cursor]


def _write_rows(connection: Connection, rows: Rows, known: Mapping[str, list[str]]) -> None:
    """Insert the rows as a version does that knows these columns."""
    for table in TABLES:
        statement = sql.SQL(
            "INSERT INTO {table} ({columns})"
            " SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s)"
        ).format(
            table=sql.Identifier(table),
            columns=sql.SQL(", ").join(map(sql.Identifier, known[table])),
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, {"rows": json.dumps(rows[table])})
