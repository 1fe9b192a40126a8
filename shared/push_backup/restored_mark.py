"""The mark of a restored database: what went out after the backup is unknown to it.

push_blaster ends what was under way, and resumes restored executions only if a person wants it.
The mark is written in the transaction that brings the data back, so no engine sees one without the
other.
"""

from datetime import datetime
from typing import Final

import psycopg
from psycopg import sql

from push_backup.dumps import CONNECT_TIMEOUT
from push_backup.places import BackupError

#: A schema without `end_restored` is older than the mark; its next migration ends what was under
#: way. A clock that is behind the one of the backup must not let an execution look new.
_MARK: Final = """
DO $mark$
DECLARE
  place text := (SELECT n.nspname FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relname = 'schedule_marks' AND c.relkind = 'r' LIMIT 1);
BEGIN
  IF place IS NULL THEN
    RETURN;
  END IF;
  PERFORM pg_catalog.set_config('search_path', pg_catalog.quote_ident(place), true);
  CREATE TABLE IF NOT EXISTS restores (restored_at timestamptz PRIMARY KEY, saved_at timestamptz);
  INSERT INTO restores (restored_at, saved_at)
  SELECT greatest(clock_timestamp(), max(created_at)), {saved_at} FROM executions;
  IF pg_catalog.to_regprocedure('end_restored()') IS NOT NULL THEN
    PERFORM end_restored();
  END IF;
END $mark$;
"""

_IS_RESTORED: Final = (
    "SELECT 1 FROM pg_catalog.pg_class WHERE relname = 'schedule_marks' AND relkind = 'r'"
)


def write_mark(saved_at: datetime | None) -> str:
    """Return the statement that marks a database as restored from a backup of then."""
    when = sql.Literal(saved_at.isoformat() if saved_at else None)
    return sql.SQL(_MARK).format(saved_at=when).as_string() + "\n"


def mark_restored(url: str, saved_at: datetime | None) -> None:
    """Mark push_blaster's database, which another program restored. Raises: BackupError."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT) as connection:
            if not connection.execute(_IS_RESTORED).fetchone():
                raise BackupError(
                    "The database of PUSH_BLASTER_DATABASE_URL has no tables of push_blaster; "
                    "restore it first, then mark it."
                )
            connection.execute(write_mark(saved_at))
    except psycopg.Error as error:
        raise BackupError(f"The database push_blaster was not marked: {error}") from error
