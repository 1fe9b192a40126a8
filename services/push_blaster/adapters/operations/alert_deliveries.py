"""The table `alert_deliveries`: alerts on their way to each destination, and how that went."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_values, insert_many, without_nul
from push_blaster.adapters.operations.outbox import find_horizon
from push_blaster.domain.operations.alert import Notice
from push_blaster.domain.operations.destination import AlertDelivery

#: A failed try is repeated after this time, then after twice this time, three times, and so on.
AGAIN: Final = timedelta(seconds=30)
#: After so many tries an alert is given up.
MAX_TRIES: Final = 10
#: Nobody else takes what a process has taken, for this time.
LEASE: Final = timedelta(minutes=3)
_AT_ONCE: Final = 10

_COLUMNS: Final = """
    id::text, destination_id::text, execution_id, body, raised_at, next_at, tries, done_at, failure
"""


def insert_alert_deliveries(
    connection: Connection,
    handed: Iterable[tuple[str, Notice, Mapping[str, object]]],
    now: datetime,
) -> None:
    """Put notices on their way; each goes to one destination, by its id, with its body."""
    sql = """
        INSERT INTO alert_deliveries (destination_id, execution_id, body, raised_at, next_at)
        VALUES %s
    """
    rows = [(id_, one.execution_id, Json(dict(body)), one.at, now) for id_, one, body in handed]
    insert_many(connection, sql, rows, "(%s::uuid, %s, %s, %s, %s)")


def select_due_destinations(
    connection: Connection, fingerprints: Collection[str], now: datetime
) -> list[str]:
    """Return the destinations for which alerts are due: of the page, and of these settings."""
    old = """
        UPDATE alert_deliveries SET done_at = %(now)s, failure = coalesce(failure, 'too old')
         WHERE done_at IS NULL AND raised_at <= %(horizon)s
    """
    execute(connection, old, {"now": now, "horizon": find_horizon(connection, now)})
    sql = """
        SELECT id::text FROM alert_destinations d
         WHERE is_on AND (environment IS NULL OR fingerprint = ANY(%(own)s))
           AND EXISTS (SELECT FROM alert_deliveries a
                        WHERE a.destination_id = d.id AND a.done_at IS NULL
                          AND a.next_at <= %(now)s)
    """
    return fetch_values(connection, sql, {"own": list(fingerprints), "now": now})


def take_alert_deliveries(
    connection: Connection, destination_id: str, now: datetime
) -> list[AlertDelivery]:
    """Return alerts that are due for the destination; each goes to one caller at a time."""
    sql = f"""
        WITH taken AS (
             UPDATE alert_deliveries SET next_at = %(lease)s
              WHERE id IN (
                    SELECT id FROM alert_deliveries
                     WHERE destination_id = %(id)s::uuid AND done_at IS NULL AND next_at <= %(now)s
                     ORDER BY no LIMIT %(limit)s
                       FOR UPDATE SKIP LOCKED)
             RETURNING *)
        SELECT {_COLUMNS} FROM taken ORDER BY no
    """  # noqa: S608 - a constant
    values = {"id": destination_id, "now": now, "lease": now + LEASE, "limit": _AT_ONCE}
    return fetch_all(connection, sql, values, make=AlertDelivery, by_name=True)


def select_alert_deliveries(
    connection: Connection, destination_id: str, limit: int
) -> list[AlertDelivery]:
    """Return the newest alerts of a destination."""
    sql = f"""
        SELECT {_COLUMNS} FROM alert_deliveries WHERE destination_id = %s::uuid
         ORDER BY no DESC LIMIT %s
    """  # noqa: S608 - a constant
    return fetch_all(connection, sql, (destination_id, limit), make=AlertDelivery, by_name=True)


def mark_taken(connection: Connection, delivery: AlertDelivery, now: datetime) -> None:
    """Record that the destination took the alert."""
    values = {"id": delivery.id, "destination": delivery.destination_id, "now": now}
    execute(
        connection,
        "UPDATE alert_deliveries SET done_at = %(now)s, failure = NULL, tries = tries + 1"
        " WHERE id = %(id)s::uuid",
        values,
    )
    execute(
        connection,
        "UPDATE alert_destinations SET delivered_at = %(now)s, failing_since = NULL,"
        " failure = NULL, given_up = 0 WHERE id = %(destination)s::uuid",
        values,
    )


def mark_not_taken(
    connection: Connection, delivery: AlertDelivery, reason: str, now: datetime
) -> None:
    """Record why the destination did not take the alert; after the last try it is given up."""
    values = {
        "id": delivery.id,
        "destination": delivery.destination_id,
        "reason": without_nul(reason),
        "now": now,
        "again": now + AGAIN * (delivery.tries + 1),
        "is_last": delivery.tries + 1 >= MAX_TRIES,
    }
    failed = """
        UPDATE alert_deliveries
           SET tries = tries + 1, failure = %(reason)s, next_at = %(again)s,
               done_at = CASE WHEN %(is_last)s THEN %(now)s END
         WHERE id = %(id)s::uuid
    """
    execute(connection, failed, values)
    failing = """
        UPDATE alert_destinations
           SET failing_since = coalesce(failing_since, %(now)s), failure = %(reason)s,
               given_up = given_up + %(is_last)s::int
         WHERE id = %(destination)s::uuid
    """
    execute(connection, failing, values)


def put_back(
    connection: Connection, deliveries: Iterable[AlertDelivery], next_at: datetime
) -> None:
    """Give back alerts that were taken and not tried; they are due then."""
    sql = "UPDATE alert_deliveries SET next_at = %s WHERE id = ANY(%s::uuid[])"
    execute(connection, sql, (next_at, [one.id for one in deliveries]))
