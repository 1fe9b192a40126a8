"""The table `stored_secrets`: random secrets of the installation that every process shares."""

from secrets import token_urlsafe

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value


def read_stored_secret(connection: Connection, name: str) -> str:
    """Return the secret with this name; the first process that asks makes it."""
    sql = "INSERT INTO stored_secrets (name, secret) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    found = _select(connection, name)
    if found is None:
        execute(connection, sql, (name, token_urlsafe(48)))
        found = _select(connection, name)
    return str(found)


def _select(connection: Connection, name: str) -> str | None:
    sql = "SELECT secret FROM stored_secrets WHERE name = %s"
    found: str | None = fetch_value(connection, sql, (name,))
    return found
