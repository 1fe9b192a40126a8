"""The table `sign_in_failures`: sign-ins with an unknown token, by the address of the client."""

from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value


def insert_failure(connection: Connection, address: str, now: datetime, since: datetime) -> None:
    """Insert a failed sign-in, and delete those before `since`."""
    execute(connection, "DELETE FROM sign_in_failures WHERE at <= %(since)s", {"since": since})
    execute(
        connection,
        "INSERT INTO sign_in_failures (at, address) VALUES (%(now)s, %(address)s)",
        {"now": now, "address": address},
    )


def select_failure(
    connection: Connection, address: str | None, since: datetime, number: int
) -> datetime | None:
    """Return when the `number`-th last failed sign-in after `since` was, from one or any address.

    Shape: None if fewer sign-ins failed.
    """
    sql = """
        SELECT at FROM sign_in_failures
         WHERE at > %(since)s AND (%(address)s::text IS NULL OR address = %(address)s)
         ORDER BY at DESC
         LIMIT 1 OFFSET %(before)s
    """
    found: datetime | None = fetch_value(
        connection, sql, {"address": address, "since": since, "before": number - 1}
    )
    return found
