"""The route that lists every send, in the original's fields."""

from datetime import datetime
from typing import Any

from marshmallow import fields, validate

from chassis.postgres import Database
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.one_off.push_log import PushLogEntry, select_push_log
from push_blaster.web.frame.cursors import read_cursor, read_instant, write_cursor


class PushLogQuerySchema(CamelSchema):
    """Query of GET /api/push-logs."""

    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=500))
    cursor = fields.String(load_default=None)


class PushLogSchema(CamelSchema):
    """One push of an execution; `totalTokens` users had a device."""

    id = fields.String()
    execution_id = fields.String()
    automation_id = fields.String()
    position = fields.Integer()
    trigger = fields.String()
    timestamp = fields.AwareDateTime()
    started_at = fields.AwareDateTime(allow_none=True)
    ended_at = fields.AwareDateTime(allow_none=True)
    status = fields.String(
        validate=validate.OneOf(["completed", "failed", "in_progress", "cancelled"])
    )
    audience_description = fields.String()
    audience_size = fields.Integer()
    title = fields.String()
    body = fields.String()
    deep_link = fields.String()
    layer_id = fields.Integer()
    is_dry_run = fields.Boolean()
    sent = fields.Integer(data_key="successCount")
    failed = fields.Integer(data_key="failureCount")
    reached = fields.Integer(data_key="totalTokens")
    total = fields.Integer(data_key="totalCount")
    reason = fields.String(data_key="errorMessage", allow_none=True)


class PushLogListSchema(CamelSchema):
    """A page of sends, newest first."""

    success = fields.Boolean()
    logs = fields.List(fields.Nested(PushLogSchema))
    next_cursor = fields.String(allow_none=True)


def push_log_routes(database: Database) -> Routes:
    """Return the route about sends."""
    routes = Routes("push_logs", __name__, description="Every send")

    @routes.route("/api/push-logs", methods=["GET"])
    @routes.arguments(PushLogQuerySchema, location="query", as_kwargs=True)
    @routes.response(200, PushLogListSchema)
    def list_all(limit: int, cursor: str | None) -> dict[str, object]:
        """List the pushes of all executions, newest first: ad hoc, manual and scheduled."""
        before = read_cursor(cursor, read_instant, _read_id)
        with database.transaction() as connection:
            found = select_push_log(connection, before, limit)
        is_full = len(found) == limit
        last = write_cursor(found[-1].created_at, _id(found[-1])) if is_full else None
        return {
            "success": True,
            "logs": [_show_send(entry) for entry in found],
            "next_cursor": last,
        }

    return routes


def _id(entry: PushLogEntry) -> str:
    return f"{entry.execution_id}/{entry.position}"


def _read_id(text: str) -> tuple[str, int]:
    execution_id, _, position = text.rpartition("/")
    return execution_id, int(position)


def _show_send(entry: PushLogEntry) -> dict[str, object]:
    names: dict[str, Any] = {name: getattr(entry, name) for name in entry.__slots__}
    timestamp: datetime = entry.created_at
    return {**names, "id": _id(entry), "timestamp": timestamp, "total": entry.reached}
