"""The lists of places that keep users have every table that exists."""

import re

from cadence_service.adapters.user_erasure import FREE, NAMING, OF_USERS
from chassis.postgres import BulkDatabase, Database
from chassis.rows import execute
from push_blaster.adapters.users.kept_places import TABLES
from push_blaster.adapters.users.timeline_sources import (
    CONVERSIONS,
    DEVICES,
    EVENTS,
    OPT_OUTS,
    PUSHES,
    SAMPLED,
)
from tests.erasures import list_tables


def test_every_column_of_push_blaster_that_may_name_a_user_is_listed(database: Database) -> None:
    found = list_tables(database)
    listed = {name: set(table.columns) & found.get(name, set()) for name, table in TABLES.items()}

    assert listed == found
    assert not {
        f"{name}.{column}"
        for name, table in TABLES.items()
        for column in table.columns - found[name] - {"execution_id"}
    }


def test_every_column_of_the_cadence_service_that_may_name_a_user_is_listed(
    cadence_database: BulkDatabase,
) -> None:
    found = list_tables(cadence_database)

    listed = {n: set(columns.split()) for n, columns in {**OF_USERS, **NAMING, **FREE}.items()}
    assert listed == found


def test_a_new_column_and_a_new_table_are_noticed(database: Database) -> None:
    with database.transaction() as connection:
        execute(connection, "CREATE TABLE letters (to_whom uuid, page integer)")
        execute(connection, "ALTER TABLE devices ADD COLUMN nicknames text[]")
    try:
        found = list_tables(database)
    finally:
        with database.transaction() as connection:
            execute(connection, "DROP TABLE letters")
            execute(connection, "ALTER TABLE devices DROP COLUMN nicknames")

    assert found["letters"] == {"to_whom"}
    assert "nicknames" in found["devices"]


#: Tables that say nothing that another one does not say, or not for longer than seconds.
REPEATED = {"first_events", "event_inbox", "opt_out_taps"}


def test_the_page_of_a_user_reads_every_table_that_has_rows_of_users() -> None:
    statements = (PUSHES, SAMPLED, EVENTS, CONVERSIONS, OPT_OUTS, DEVICES)
    read = set(re.findall(r"\b(?:FROM|JOIN) (\w+)", " ".join(statements)))

    kept = {name for name, table in TABLES.items() if table.user or table.arrays}

    assert kept - read == REPEATED
