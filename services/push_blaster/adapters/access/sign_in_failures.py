"""The table `sign_in_failures`: tokens that nobody knew, by the address they were tried from."""

from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value


def insert_failure(connection: Connection, address: str, now: datetime, since: datetime) -> None:
    """Write down a sign-in that failed, and forget those before `since`."""
    execute(connection, "DELETE FROM sign_in_failures WHERE at <= %(since)s", {"since": since})
    execute(
        connection,
        "INSERT INTO sign_in_failures (at, address) VALUES (%(now)s, %(address)s)",
        {"now": now, "address": address},
    )


def select_failure(
    connection: Connection, address: str | None, since: datetime, number: int
) -> datetime | None:
    """Return when the `number`-th last sign-in after `since` failed, from an address or from any.

    Shape: None if so many did not fail.
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
