"""The table `alerts`: what happened to executions, until the webhook has taken it."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg2.extras import RealDictCursor

from chassis.postgres import Connection
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.alert import AlertEvent

#: What is older is no news, such as what happened before there was a webhook.
NEWS: Final = timedelta(hours=24)


def insert_alert(
    connection: Connection, execution_id: str, event: AlertEvent, now: datetime
) -> None:
    """Write down an event, in the transaction that makes it one; only its first time counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO alerts (execution_id, event, at, tell_after)
            VALUES (%(execution_id)s, %(event)s, %(now)s, %(now)s)
                ON CONFLICT DO NOTHING
            """,
            {"execution_id": execution_id, "event": event, "now": now},
        )


def take_untold_alerts(
    connection: Connection,
    events: Collection[AlertEvent],
    modes: Collection[Mode],
    now: datetime,
    again: timedelta,
) -> list[dict[str, Any]]:
    """Return what is to be told of, each event to one caller at a time, with its execution."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            WITH taken AS (
              UPDATE alerts
                 SET tries = tries + 1, tell_after = %(now)s + %(again)s * (tries + 1)
               WHERE (execution_id, event) IN (
                     SELECT a.execution_id, a.event
                       FROM alerts a
                       JOIN executions e ON e.id = a.execution_id
                      WHERE a.told_at IS NULL AND a.tell_after <= %(now)s
                        AND a.at > %(now)s - %(news)s
                        AND a.event = ANY(%(events)s) AND e.mode = ANY(%(modes)s)
                      ORDER BY a.at LIMIT 10
                        FOR UPDATE OF a SKIP LOCKED)
              RETURNING *)
            SELECT t.execution_id, t.event, t.at, t.tries, e.automation_id, e.automation_name,
                   e.mode, e.slot, e.reason, e.uncapped_reason,
                   e.snapshot #> '{settings,safeguards,emergencyContacts}' AS contacts,
                   (SELECT coalesce(jsonb_agg(p.funnel ORDER BY p.position), '[]')
                      FROM execution_pushes p
                     WHERE p.execution_id = e.id AND p.funnel IS NOT NULL) AS funnels
              FROM taken t
              JOIN executions e ON e.id = t.execution_id
             ORDER BY t.at
            """,
            {
                "now": now,
                "again": again,
                "news": NEWS,
                "events": list(events),
                "modes": list(modes),
            },
        )
        return [dict(row) for row in cursor]


def mark_alert_told(connection: Connection, execution_id: str, event: str, now: datetime) -> None:
    """Note that the webhook took it, or that telling is given up."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE alerts SET told_at = %(now)s
             WHERE execution_id = %(execution_id)s AND event = %(event)s
            """,
            {"execution_id": execution_id, "event": event, "now": now},
        )
