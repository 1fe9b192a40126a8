"""The outbox: alerts and violations (tables of these names), until a webhook has taken them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.alert import AlertEvent, Notice, NoticeTable

#: An older alert is not sent any more, such as one from before the webhook was set up.
NEWS: Final = timedelta(hours=24)
#: A failed try is repeated after this time, then after twice this time, three times, and so on.
AGAIN: Final = timedelta(seconds=30)


def insert_alert(
    connection: Connection, execution_id: str, event: AlertEvent, now: datetime
) -> None:
    """Record an event in the transaction that causes it; only the first time counts."""
    sql = """
        INSERT INTO alerts (execution_id, event, at, tell_after)
        VALUES (%(execution_id)s, %(event)s, %(now)s, %(now)s)
            ON CONFLICT DO NOTHING
    """
    execute(connection, sql, {"execution_id": execution_id, "event": event, "now": now})


_TAKE: Final = """
    WITH alert AS (
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
         RETURNING 'alerts' AS "table", execution_id || '/' || event AS id, execution_id,
                   event AS kind, NULL AS severity, NULL AS message, at, tries),
         violation AS (
         UPDATE violations
            SET tries = tries + 1, tell_after = %(now)s + %(again)s * (tries + 1)
          WHERE id IN (
                SELECT id FROM violations
                 WHERE %(with_violations)s AND told_at IS NULL AND tell_after <= %(now)s
                 ORDER BY at LIMIT 10
                   FOR UPDATE SKIP LOCKED)
         RETURNING 'violations', id::text, execution_id, type, severity, message, at, tries)
    SELECT t.*, e.automation_id, e.automation_name, e.mode, e.slot, e.reason, e.uncapped_reason,
           e.snapshot #> '{settings,safeguards,emergencyContacts}' AS contacts,
           (SELECT count(*) FROM execution_pushes p
             WHERE p.execution_id = e.id AND p.started_at IS NOT NULL) AS begun
      FROM (SELECT * FROM alert UNION ALL SELECT * FROM violation) t
      JOIN executions e ON e.id = t.execution_id
     ORDER BY t."table" DESC, t.at
"""


def take_notices(
    connection: Connection,
    events: Collection[AlertEvent],
    modes: Collection[Mode],
    now: datetime,
    *,
    with_violations: bool,
) -> list[Notice]:
    """Return the notices to send; each notice goes to one caller at a time.

    Shape: alerts are those of `events` and `modes`; violations are those of any execution.
    """
    values = {
        "events": list(events),
        "modes": list(modes),
        "with_violations": with_violations,
        "now": now,
        "again": AGAIN,
        "news": NEWS,
    }
    found: list[dict[str, Any]] = fetch_all(connection, _TAKE, values, make=dict, by_name=True)
    funnels = select_funnels(connection, list({row["execution_id"] for row in found}))
    return [_make_notice(funnels[row["execution_id"]].values(), **row) for row in found]


def mark_notified(connection: Connection, notice: Notice, now: datetime) -> None:
    """Record that the webhook took the notice, or that the notice is given up."""
    values = {"now": now, "id": notice.id, "execution": notice.execution_id, "kind": notice.kind}
    execute(connection, _MARK[notice.table], values)


_MARK: Final[Mapping[NoticeTable, str]] = {
    NoticeTable.ALERTS: "UPDATE alerts SET told_at = %(now)s"
    " WHERE execution_id = %(execution)s AND event = %(kind)s",
    NoticeTable.VIOLATIONS: "UPDATE violations SET told_at = %(now)s WHERE id = %(id)s::uuid",
}


def _make_notice(
    funnels: Iterable[Funnel],
    *,
    table: str,
    mode: str,
    contacts: Sequence[str] | None,
    begun: int,
    **columns: Any,
) -> Notice:
    return Notice(
        table=NoticeTable(table),
        mode=Mode(mode),
        contacts=tuple(contacts or ()),
        funnels=tuple(islice(funnels, begun)),
        **columns,
    )
