"""The approval of an execution, stored with the execution."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_value, fetch_values
from push_blaster.domain.executions.approval import Approval, Hashes
from push_blaster.domain.executions.phase import Phase


def save_approval(connection: Connection, execution_id: str, approval: Approval) -> bool:
    """Store the approval; False, and no change, if the execution's window is not open."""
    hashes = approval.hashes
    kept = {
        "by": approval.by,
        "at": approval.at.isoformat(),
        "content": hashes.content,
        "audience": hashes.audience,
        "rules": hashes.rules,
    }
    sql = "UPDATE executions SET approval = %(approval)s WHERE id = %(id)s AND phase = %(phase)s"
    changed = execute(
        connection,
        sql,
        {"approval": Json(kept), "id": execution_id, "phase": Phase.CANCELLATION_WINDOW},
    )
    return changed == 1


def select_approved(connection: Connection, execution_ids: Sequence[str]) -> set[str]:
    """Return which of the executions have an approval."""
    sql = "SELECT id FROM executions WHERE id = ANY(%s) AND approval IS NOT NULL"
    return set(fetch_values(connection, sql, (list(execution_ids),)))


def select_approval(connection: Connection, execution_id: str) -> Approval | None:
    """Return the execution's approval, or None."""
    kept: Mapping[str, str] | None = fetch_value(
        connection, "SELECT approval FROM executions WHERE id = %s", (execution_id,)
    )
    if kept is None:
        return None
    return Approval(
        by=kept["by"],
        at=datetime.fromisoformat(kept["at"]),
        hashes=Hashes(kept["content"], kept["audience"], kept["rules"]),
    )
