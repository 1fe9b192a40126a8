"""The route that lists every send, in the original's fields."""

from dataclasses import dataclass
from typing import Final

from marshmallow import fields, validate

from chassis.instants import read_instant
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, object_schema, request_schema
from push_blaster.adapters.one_off.push_log import PushLogEntry, select_push_log
from push_blaster.web.frame.common_schemas import up_to
from push_blaster.web.frame.cursors import next_cursor, read_cursor
from push_blaster.web.frame.list_filters import ExecutionQuery

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PushLogQuery(ExecutionQuery):
    """Query of the list of sends."""

    limit: int = up_to(500)
    cursor: str | None = None


def push_log_routes(database: Database) -> Routes:
    """Return the route about sends."""
    routes = Routes("push_logs", __name__, description="Every send")

    @routes.route("/api/push-logs", methods=["GET"])
    @routes.arguments(request_schema(PushLogQuery), location="query")
    @routes.response(200, PushLogListSchema)
    def list_all(query: PushLogQuery) -> dict[str, object]:
        """List the pushes of all executions, newest first: ad hoc, manual and scheduled."""
        before = read_cursor(query.cursor, read_instant, _read_id)
        with database.transaction() as connection:
            found = select_push_log(connection, query.find_filter(), before, query.limit)
        last = next_cursor(found, query.limit, lambda one: (one.created_at, one.id))
        return {"success": True, "logs": found, "next_cursor": last}

    return routes


def _read_id(text: str) -> tuple[str, int]:
    execution_id, _, position = text.rpartition("/")
    return execution_id, int(position)
