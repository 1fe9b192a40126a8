"""The approval of an execution, kept with it."""

from datetime import datetime

from psycopg2.extras import Json

from chassis.postgres import Connection
from push_blaster.domain.executions.approval import Approval, Hashes
from push_blaster.domain.executions.phase import Phase


def save_approval(connection: Connection, execution_id: str, approval: Approval) -> bool:
    """Keep the approval; False, and no change, if the execution's window is not open."""
    hashes = approval.hashes
    kept = {
        "by": approval.by,
        "at": approval.at.isoformat(),
        "content": hashes.content,
        "audience": hashes.audience,
        "rules": hashes.rules,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE executions SET approval = %(approval)s WHERE id = %(id)s AND phase = %(phase)s",
            {"approval": Json(kept), "id": execution_id, "phase": Phase.CANCELLATION_WINDOW},
        )
        return cursor.rowcount == 1


def select_approval(connection: Connection, execution_id: str) -> Approval | None:
    """Return the execution's approval, or None."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT approval FROM executions WHERE id = %(id)s", {"id": execution_id})
        row = cursor.fetchone()
    if row is None or row[0] is None:
        return None
    kept = row[0]
    return Approval(
        by=kept["by"],
        at=datetime.fromisoformat(kept["at"]),
        hashes=Hashes(kept["content"], kept["audience"], kept["rules"]),
    )
