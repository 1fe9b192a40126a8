"""The route that lists every send, in the original's fields."""

from typing import Final

from marshmallow import fields, validate

from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, object_schema
from push_blaster.adapters.one_off.push_log import PushLogEntry, select_push_log
from push_blaster.web.frame.common_schemas import up_to
from push_blaster.web.frame.cursors import next_cursor, read_cursor, read_instant

STATUSES: Final = ("completed", "failed", "in_progress", "cancelled")
PushLogSchema = answer_schema(
    PushLogEntry,
    "PushLog",
    more=("id", "total"),
    status=fields.String(validate=validate.OneOf(STATUSES)),
    created_at="timestamp",
    sent="successCount",
    failed="failureCount",
    reached="totalTokens",
    total="totalCount",
    reason="errorMessage",
)
PushLogListSchema = object_schema(
    "PushLogList", success=bool, logs=(PushLogSchema,), next_cursor=str | None
)


def push_log_routes(database: Database) -> Routes:
    """Return the route about sends."""
    routes = Routes("push_logs", __name__, description="Every send")

    @routes.route("/api/push-logs", methods=["GET"])
    @routes.query
    @routes.response(200, PushLogListSchema)
    def list_all(*, limit: int = up_to(500), cursor: str | None = None) -> dict[str, object]:
        """List the pushes of all executions, newest first: ad hoc, manual and scheduled."""
        before = read_cursor(cursor, read_instant, _read_id)
        with database.transaction() as connection:
            found = select_push_log(connection, before, limit)
        last = next_cursor(found, limit, lambda one: (one.created_at, one.id))
        return {"success": True, "logs": found, "next_cursor": last}

    return routes


def _read_id(text: str) -> tuple[str, int]:
    execution_id, _, position = text.rpartition("/")
    return execution_id, int(position)
