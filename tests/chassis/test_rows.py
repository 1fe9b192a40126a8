"""Statements and their rows: the same over both drivers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import psycopg2
import pytest

from chassis.postgres import BulkDatabase, Database, DatabaseFaultError, Pool
from chassis.rows import (
    execute,
    fetch_all,
    fetch_one,
    fetch_value,
    fetch_values,
    insert_many,
    stream_rows,
)
from local_stack.embedded_postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Mark:
    id: int
    name: str


@pytest.fixture(params=[Database, BulkDatabase])
def database(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Pool[Any]]:
    database: Pool[Any] = request.param(postgres.create_database("rows_tests"), max_connections=1)
    with database.transaction() as connection:
        execute(connection, "DROP TABLE IF EXISTS marks")
        execute(connection, "CREATE TABLE marks (id int, name text)")
        execute(connection, "INSERT INTO marks VALUES (1, 'one'), (2, 'two'), (3, '100 %')")
    yield database
    database.close()


def test_execute_says_how_many_rows_it_changed(database: Pool[Any]) -> None:
    with database.transaction() as connection:
        assert execute(connection, "DELETE FROM marks WHERE id > %(least)s", {"least": 1}) == 2
        assert execute(connection, "DELETE FROM marks WHERE id = %s", [99]) == 0


def test_rows_are_tuples_or_whatever_is_made_of_their_columns(database: Pool[Any]) -> None:
    sql = "SELECT id, name FROM marks ORDER BY id LIMIT 2"
    with database.transaction() as connection:
        assert fetch_all(connection, sql) == [(1, "one"), (2, "two")]
        assert fetch_all(connection, sql, make=Mark) == [Mark(1, "one"), Mark(2, "two")]
        assert fetch_one(connection, sql, make=dict, by_name=True) == {"id": 1, "name": "one"}
        swapped = "SELECT name, id FROM marks WHERE id = %s"
        assert fetch_one(connection, swapped, [2], make=Mark, by_name=True) == Mark(2, "two")


def test_no_row_is_none(database: Pool[Any]) -> None:
    nothing = "SELECT id, name FROM marks WHERE false"
    with database.transaction() as connection:
        assert fetch_one(connection, nothing) is None
        assert fetch_one(connection, nothing, make=Mark) is None
        assert fetch_all(connection, nothing, make=Mark) == []
        assert fetch_value(connection, nothing) is None
        assert fetch_values(connection, nothing) == []


def test_one_column_comes_as_its_values(database: Pool[Any]) -> None:
    with database.transaction() as connection:
        assert fetch_value(connection, "SELECT count(*) FROM marks") == 3
        assert fetch_values(connection, "SELECT name FROM marks ORDER BY id") == [
            "one",
            "two",
            "100 %",
        ]


def test_a_statement_without_values_may_hold_a_percent_sign(database: Pool[Any]) -> None:
    with database.transaction() as connection:
        assert fetch_value(connection, "SELECT id FROM marks WHERE name LIKE '%\\%'") == 3


def test_a_composed_statement_names_its_table(database: Pool[Any]) -> None:
    driver: Any = psycopg if isinstance(database, BulkDatabase) else psycopg2
    table = driver.sql.Identifier("marks")
    with database.transaction() as connection:
        counted = driver.sql.SQL("SELECT count(*) FROM {}").format(table)
        assert fetch_value(connection, counted) == 3


def test_a_stream_is_read_page_by_page_and_two_may_run_at_once(database: Pool[Any]) -> None:
    sql = "SELECT n FROM generate_series(1, %(last)s) n"
    with database.transaction() as connection:
        first = stream_rows(connection, sql, {"last": 50}, page=7)
        second = stream_rows(connection, sql, {"last": 3}, page=2)
        together = list(zip(first, second, strict=False))
        assert together == [((1,), (1,)), ((2,), (2,)), ((3,), (3,))]
        assert sum(n for (n,) in first) == sum(range(5, 51))


def test_a_wrong_statement_is_the_drivers_error(database: Pool[Any]) -> None:
    with (
        pytest.raises(DatabaseFaultError, match="nowhere"),
        database.transaction() as connection,
    ):
        fetch_all(connection, "SELECT * FROM nowhere")


def test_many_rows_are_inserted_by_few_statements(postgres: EmbeddedPostgres) -> None:
    database = Database(postgres.create_database("rows_tests"), max_connections=1)
    with database.transaction() as connection:
        execute(connection, "CREATE TEMP TABLE many (n int, name text)")
        rows = [(n, f"name {n}") for n in range(2_500)]
        insert_many(connection, "INSERT INTO many VALUES %s ON CONFLICT DO NOTHING", rows)
        insert_many(connection, "INSERT INTO many VALUES %s", [])
        assert fetch_value(connection, "SELECT count(*) FROM many") == 2_500
    database.close()
