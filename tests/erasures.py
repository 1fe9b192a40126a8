"""Look for a user in everything that is kept: every table of a database, every file of a folder."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from chassis.postgres import BulkDatabase, Database
from chassis.rows import fetch_all, fetch_value, fetch_values

_TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     ORDER BY 1
"""
#: Columns of types that may hold an id of a user.
_COLUMNS = """
    SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_type e ON e.oid = t.typelem
     WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
       AND coalesce(nullif(e.typcategory, 'Z'), t.typcategory) IN ('S', 'U', 'E')
"""


def list_tables(database: Database | BulkDatabase) -> dict[str, set[str]]:
    """Return every table with the columns that may hold an id of a user."""
    with database.transaction() as connection:
        tables = fetch_values(connection, _TABLES)
        return {name: set(fetch_values(connection, _COLUMNS, (name,))) for name in tables}


def find_in_tables(database: Database | BulkDatabase, *texts: str) -> set[str]:
    """Return the tables of which a row holds one of the texts, or an id in any spelling."""
    pattern = "|".join("-?".join(map(re.escape, text.split("-"))) for text in texts)
    with database.transaction() as connection:
        return {
            name
            for name in fetch_values(connection, _TABLES)
            if fetch_value(
                connection,
                f"SELECT count(*) FROM {name} t WHERE t::text ~* %s",  # noqa: S608 - our tables
                (pattern,),
            )
        }


def find_in_files(folder: Path, *texts: str) -> set[str]:
    """Return the folders of a folder in which a file holds one of the texts, or its name does."""
    return {path.relative_to(folder).parts[0] for path in _find_files(folder, texts)}


def _find_files(folder: Path, texts: tuple[str, ...]) -> Iterator[Path]:
    spelled = {form.lower() for text in texts for form in (text, text.replace("-", ""))}
    needles = {t.encode(code) for t in spelled for code in ("utf-8", "utf-16-le", "utf-16-be")}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        content = str(path).encode() + content.lower()
        if any(needle in content for needle in needles):
            yield path


def describe_tables(database: Database | BulkDatabase) -> dict[str, int]:
    """Return how many rows each table has."""
    with database.transaction() as connection:
        sql = "SELECT count(*) FROM {}"
        return {
            name: int(fetch_all(connection, sql.format(name))[0][0])
            for name in fetch_values(connection, _TABLES)
        }
