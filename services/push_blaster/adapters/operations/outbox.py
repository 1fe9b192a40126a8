"""The outbox: alerts and violations (tables of these names), until they are handed to destinations.

An alert keeps what was true when it was raised, so that it never tells what came later.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.operations.alert import ENDS, AlertEvent, Notice, NoticeTable

#: An older alert is not sent any more.
NEWS: Final = timedelta(hours=24)
#: How many alerts, and how many violations, are handed over in one transaction.
AT_ONCE: Final = 500


def facts_of(event: str) -> str:
    """Return the SQL of what an alert about the execution `e` keeps; `event` is SQL, too."""
    return f"""jsonb_build_object(
                   'automation_id', e.automation_id, 'automation_name', e.automation_name,
                   'mode', e.mode, 'trigger', e.trigger, 'slot', e.slot,
                   'contacts', e.snapshot #> '{{settings,safeguards,emergencyContacts}}',
                   'reason', CASE {event} WHEN 'start' THEN NULL
                                          WHEN 'fail_open' THEN e.uncapped_reason
                                          ELSE e.reason END)"""


def insert_alert(
    connection: Connection, execution_id: str, event: AlertEvent, now: datetime
) -> None:
    """Record an event in the transaction that causes it; only the first time counts."""
    sql = f"""
        INSERT INTO alerts (execution_id, event, at, tell_after, facts)
        SELECT e.id, %(event)s, %(now)s, %(now)s, {facts_of("%(event)s")}
          FROM executions e WHERE e.id = %(execution_id)s
            ON CONFLICT DO NOTHING
    """  # noqa: S608 - a constant
    execute(connection, sql, {"execution_id": execution_id, "event": event, "now": now})


def find_horizon(connection: Connection, now: datetime) -> datetime:
    """Return the instant up to which alerts are old: a day ago, or that of the last restore.

    What a backup has brought back was sent to its destinations after the backup.
    """
    sql = "SELECT greatest(%s, max(restored_at)) FROM restores"
    horizon: datetime = fetch_value(connection, sql, (now - NEWS,))
    return horizon


#: An engine of an older version leaves what has `told_at`, and so does this one.
_TAKE: Final = f"""
    WITH alert AS (
         UPDATE alerts SET told_at = %(now)s
          WHERE (execution_id, event) IN (
                SELECT execution_id, event FROM alerts
                 WHERE told_at IS NULL AND tell_after <= %(now)s AND at > %(horizon)s
                 ORDER BY at LIMIT %(limit)s
                   FOR UPDATE SKIP LOCKED)
         RETURNING 'alerts' AS "table", execution_id || '/' || event AS id, execution_id,
                   event AS kind, NULL AS severity, NULL AS message, at, facts),
         violation AS (
         UPDATE violations SET told_at = %(now)s
          WHERE id IN (
                SELECT id FROM violations
                 WHERE told_at IS NULL AND tell_after <= %(now)s AND at > %(horizon)s
                 ORDER BY at LIMIT %(limit)s
                   FOR UPDATE SKIP LOCKED)
         RETURNING 'violations', id::text, execution_id, type, severity, message, at, facts)
    SELECT t."table", t.id, t.execution_id, t.kind, t.severity, t.message, t.at,
           coalesce(t.facts, {facts_of("t.kind")}) AS facts
      FROM (SELECT * FROM alert UNION ALL SELECT * FROM violation) t
      JOIN executions e ON e.id = t.execution_id
     ORDER BY t.at, t."table" DESC, t.kind = ANY(%(ends)s)
"""  # noqa: S608 - constants


def take_notices(connection: Connection, now: datetime) -> list[Notice]:
    """Return notices that nobody has handed over, in the order in which they were raised.

    The transaction that takes them must hand them over; then nobody takes them again.
    """
    values = {
        "now": now,
        "horizon": find_horizon(connection, now),
        "limit": AT_ONCE,
        "ends": list(ENDS),  # of the same instant, the end is told last
    }
    found: list[dict[str, Any]] = fetch_all(connection, _TAKE, values, make=dict, by_name=True)
    ended = [row["execution_id"] for row in found if row["kind"] in ENDS]
    funnels = _read_funnels(connection, ended) if ended else {}
    return [
        _make_notice(**row, funnels=funnels[row["execution_id"]] if row["kind"] in ENDS else ())
        for row in found
    ]


def _read_funnels(
    connection: Connection, execution_ids: Sequence[str]
) -> dict[str, tuple[Funnel, ...]]:
    """Return the funnels of the pushes of each execution that began."""
    sql = """
        SELECT execution_id, count(*) FROM execution_pushes
         WHERE execution_id = ANY(%s) AND started_at IS NOT NULL GROUP BY execution_id
    """
    begun: dict[str, int] = dict(fetch_all(connection, sql, (list(execution_ids),)))
    return {
        id_: tuple(islice(funnels.values(), begun.get(id_, 0)))
        for id_, funnels in select_funnels(connection, execution_ids).items()
    }


def _make_notice(*, table: str, facts: Mapping[str, Any], **columns: Any) -> Notice:
    return Notice(
        table=NoticeTable(table),
        automation_id=facts["automation_id"],
        automation_name=facts["automation_name"],
        mode=facts["mode"],
        trigger=facts["trigger"],
        slot=datetime.fromisoformat(facts["slot"]),
        reason=facts["reason"],
        contacts=tuple(facts["contacts"] or ()),
        **columns,
    )
