"""The table `rule_changes`: each change of rules and layers, its author, and the reason."""

from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """One entry of the audit trail; `before` and `after` are as the API shows them.

    Shape: `caller` is the role of the token; `changed_by` is what the caller claims.
    """

    action: str
    subject: str
    version: int | None
    changed_by: str
    note: str
    before: object | None
    after: object | None
    caller: str | None = None
    id: int = 0
    changed_at: datetime | None = None


def lock_rules(connection: BulkConnection) -> None:
    """Let only one transaction at a time change rules."""
    execute(connection, "LOCK TABLE rule_changes IN EXCLUSIVE MODE")


def insert_change(connection: BulkConnection, change: RuleChange) -> None:
    """Record a change."""
    sql = """
        INSERT INTO rule_changes (action, subject, set_version, changed_by, caller, note, before,
                                  after)
        VALUES (%(action)s, %(subject)s, %(version)s, %(changed_by)s, %(caller)s, %(note)s,
                %(before)s, %(after)s)
    """
    execute(
        connection,
        sql,
        asdict(change) | {"before": Jsonb(change.before), "after": Jsonb(change.after)},
    )


def select_changes(connection: BulkConnection, before: int | None, limit: int) -> list[RuleChange]:
    """Return changes, newest first; the page after the one with the id `before`."""
    sql = """
        SELECT id, changed_at, action, subject, set_version AS version, changed_by, caller, note,
               before, after
          FROM rule_changes
         WHERE %(before)s::bigint IS NULL OR id < %(before)s::bigint
         ORDER BY id DESC LIMIT %(limit)s
    """
    return fetch_all(
        connection, sql, {"before": before, "limit": limit}, make=RuleChange, by_name=True
    )
