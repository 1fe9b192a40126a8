"""The table `upkeep` of each database: when each task of the night last ended well, for alerts."""

from typing import Any

import click

from chassis.postgres import DatabaseAwayError, DatabaseFaultError, Pool
from chassis.rows import execute


def note_done(database: Pool[Any], task: str) -> None:
    """Note that `task` has ended well; if the note fails, say so, as the task itself is done."""
    sql = """
        INSERT INTO upkeep (task, good_at) VALUES (%(task)s, clock_timestamp())
            ON CONFLICT (task) DO UPDATE SET good_at = EXCLUDED.good_at
    """
    try:
        with database.transaction() as connection:
            execute(connection, sql, {"task": task})
    except (DatabaseAwayError, DatabaseFaultError) as error:
        click.echo(f"This is not noted in the database, so an alert may follow: {error}", err=True)
