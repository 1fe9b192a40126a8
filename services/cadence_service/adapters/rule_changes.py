"""The table `rule_changes`: what was changed about rules and layers, by whom, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """One entry of the audit trail; `before` and `after` are as the API shows them."""

    action: str
    subject: str
    version: int | None
    changed_by: str
    note: str
    before: Any
    after: Any
    id: int = 0
    changed_at: datetime | None = None


def lock_rules(connection: BulkConnection) -> None:
    """Let only one transaction at a time change rules."""
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE rule_changes IN EXCLUSIVE MODE")


def insert_change(connection: BulkConnection, change: RuleChange) -> None:
    """Write down a change."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rule_changes (action, subject, set_version, changed_by, note, before, after)
            VALUES (%(action)s, %(subject)s, %(version)s, %(changed_by)s, %(note)s, %(before)s,
                    %(after)s)
            """,
            {
                "action": change.action,
                "subject": change.subject,
                "version": change.version,
                "changed_by": change.changed_by,
                "note": change.note,
                "before": Jsonb(change.before),
                "after": Jsonb(change.after),
            },
        )


def select_changes(connection: BulkConnection, before: int | None, limit: int) -> list[RuleChange]:
    """Return changes, newest first; the page after the one with the id `before`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, changed_at, action, subject, set_version, changed_by, note, before, after
              FROM rule_changes
             WHERE %(before)s::bigint IS NULL OR id < %(before)s::bigint
             ORDER BY id DESC LIMIT %(limit)s
            """,
            {"before": before, "limit": limit},
        )
        return [_read(row) for row in cursor]


def _read(row: Any) -> RuleChange:
    values: Mapping[str, Any] = {
        "id": row[0],
        "changed_at": row[1],
        "action": row[2],
        "subject": row[3],
        "version": row[4],
        "changed_by": row[5],
        "note": row[6],
        "before": row[7],
        "after": row[8],
    }
    return RuleChange(**values)
