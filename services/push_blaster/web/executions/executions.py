"""Routes about executions: start, list, read, log, approve, cancel, stop, dead devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from flask import request
from flask.typing import ResponseReturnValue
from marshmallow import validate

from chassis.bearer_auth import Role, asks_for, caller_name, name_of_caller
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.instants import read_instant
from chassis.postgres import Database
from chassis.schemas import InstantField
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema, request_schema
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.adapters.executions.execution_search import count_executions
from push_blaster.adapters.executions.execution_view import select_execution, select_executions
from push_blaster.domain.executions.approval import Approval, Hashes
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.delivery.mark_dead_devices import mark_doubted_devices
from push_blaster.use_cases.executions.approve_execution import approve_execution
from push_blaster.use_cases.executions.resume_execution import resume_execution
from push_blaster.use_cases.executions.stop_execution import cancel_execution, stop_execution
from push_blaster.web.access.audit import stops
from push_blaster.web.executions.execution_schemas import (
    EVEN_IF_RESTORED,
    WINDOW,
    ExecutionListSchema,
    ExecutionSchema,
    ReceiptSchema,
)
from push_blaster.web.executions.log_stream import MAX_ID, StreamShape, stream_log
from push_blaster.web.executions.shown_execution import (
    ShownExecution,
    ShownReceipt,
    list_shown,
    read_execution,
    show_execution,
)
from push_blaster.web.frame.common_schemas import (
    AFTER,
    AUTOMATION_ID,
    REASON,
    LogEntrySchema,
    LogSchema,
    show_log,
    up_to,
)
from push_blaster.web.frame.cursors import next_cursor, read_cursor
from push_blaster.web.frame.list_filters import ExecutionQuery
from push_blaster.web.frame.repeatable import repeatable
from push_blaster.web.frame.starts import start_for_caller

LOG_STREAM: Final = StreamShape(
    entry_id=str,
    entry=LogEntrySchema().dump,
    farewell=lambda _: "event: end\ndata: {}\n\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionListQuery(ExecutionQuery):
    """Query of the list of executions."""

    phase: Sequence[Phase] = ()
    counts: bool = about(False, description="Count what fits, by mode and by result.")
    limit: int = up_to(200)
    cursor: str | None = None


def execution_routes(context: WebContext) -> Routes:
    """Return the routes about executions."""
    routes = Routes("executions", __name__, description="The runs of automations")
    database = context.database

    @routes.route("/api/executions", methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("StartExecution")
    @repeatable(routes, database)
    @routes.response(202, ExecutionSchema)
    def start(
        idempotency_key: str | None,
        *,
        automation_id: str = AUTOMATION_ID,
        mode: Mode = Mode.LIVE,
        window_minutes: float | None = WINDOW,
        slot: datetime | None = about(
            None,
            like=InstantField,
            description="The send time of a test-scheduled-send; else it begins at once.",
        ),
    ) -> ShownExecution:
        """Start an automation now; the same Idempotency-Key starts it once."""
        window = _read_window(window_minutes)
        started = start_for_caller(
            context, automation_id, mode, idempotency_key, window=window, slot=slot
        )
        return show_execution(database, started)

    @routes.route("/api/executions", methods=["GET"])
    @routes.arguments(request_schema(ExecutionListQuery), location="query")
    @routes.response(200, ExecutionListSchema)
    def list_all(query: ExecutionListQuery) -> Mapping[str, object]:
        """List executions, newest first."""
        asked = query.find_filter()
        fitting = replace(asked, phases=set(asked.phases) & set(query.phase or Phase))
        before = read_cursor(query.cursor, read_instant, str)
        with database.transaction() as connection:
            found = select_executions(connection, fitting, before=before, limit=query.limit)
            shown = list_shown(connection, found)
            counts = count_executions(connection, fitting) if query.counts else None
        last = next_cursor(found, query.limit, lambda one: (one.created_at, one.id))
        return {"executions": shown, "next_cursor": last, "counts": counts}

    _add_reads(routes, database)
    _add_stops(routes, database)
    _add_approval_and_resumption(routes, context)
    _add_dead_devices(routes, database)
    return routes


def _add_reads(routes: Routes, database: Database) -> None:
    """Add the routes that read one execution."""

    @routes.route("/api/executions/<execution_id>", methods=["GET"])
    @routes.response(200, ExecutionSchema)
    def read_one(execution_id: str) -> ShownExecution:
        """Read one execution: its phase, its pushes and their funnels."""
        return read_execution(database, execution_id)

    @routes.route("/api/executions/<execution_id>/log", methods=["GET"])
    @of_class(RequestClass.STREAM)
    @routes.query
    @routes.response(200, LogSchema)
    def read_log(execution_id: str, *, after: int = AFTER) -> ResponseReturnValue:
        """Read the log; as text/event-stream it is followed, and resumed by Last-Event-ID."""
        with database.transaction() as connection:
            select_execution(connection, execution_id)
            entries = select_log(connection, execution_id, after)
        if request.accept_mimetypes.best == "text/event-stream":
            after = request.headers.get("Last-Event-ID", type=int) or after
            return stream_log(database, execution_id, min(after, MAX_ID), LOG_STREAM)
        return show_log(entries, after)


def _add_stops(routes: Routes, database: Database) -> None:
    """Add the routes that end one execution."""

    @routes.route("/api/executions/<execution_id>/cancel", methods=["POST"])
    @stops()
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("Stop", required=False)
    @routes.response(200, ReceiptSchema)
    def cancel(execution_id: str, *, reason: str = REASON) -> ShownReceipt:
        """Cancel an execution that is not yet live."""
        reason = reason or f"Cancelled by {caller_name()}."
        receipt = cancel_execution(database, execution_id, reason, utc_now())
        return ShownReceipt(show_execution(database, receipt.execution), receipt.totals)

    @routes.route("/api/executions/<execution_id>/stop", methods=["POST"])
    @stops()
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("Stop", required=False)
    @routes.response(200, ReceiptSchema)
    def stop(execution_id: str, *, reason: str = REASON) -> ShownReceipt:
        """Stop an execution in any phase; nothing more is sent once this has answered."""
        reason = reason or f"Stopped by {caller_name()}."
        receipt = stop_execution(database, execution_id, reason, utc_now())
        return ShownReceipt(show_execution(database, receipt.execution), receipt.totals)


def _add_approval_and_resumption(routes: Routes, context: WebContext) -> None:
    """Add the routes that let one execution go live, or resume it."""
    database = context.database

    @routes.route("/api/executions/<execution_id>/approve", methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("Approve", required=False)
    @routes.response(200, ExecutionSchema)
    def approve(
        execution_id: str,
        *,
        by: str = about("", validate=validate.Length(max=100)),
        content_hash: str = "",
        audience_hash: str = "",
    ) -> ShownExecution:
        """Approve an execution in its window, so that it may go live; a change voids it."""
        seen = Hashes(content_hash, audience_hash)
        approval = Approval(by=name_of_caller(by), at=utc_now(), hashes=seen)
        approved = approve_execution(database, context.cadence, execution_id, approval)
        return show_execution(database, approved)

    @routes.route("/api/executions/<execution_id>/resume", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.body("Resume", required=False)
    @repeatable(routes, context.database)
    @routes.response(202, ExecutionSchema)
    def resume(
        execution_id: str,
        idempotency_key: str | None,
        *,
        window_minutes: float | None = WINDOW,
        even_if_restored: bool = EVEN_IF_RESTORED,
    ) -> ShownExecution:
        """Resume a stopped live send: a new execution sends to the users who got nothing."""
        resumed = resume_execution(
            context,
            execution_id,
            utc_now(),
            window=_read_window(window_minutes),
            idempotency_key=idempotency_key,
            even_if_restored=even_if_restored,
        )
        return show_execution(database, resumed)


def _add_dead_devices(routes: Routes, database: Database) -> None:
    """Add the route that believes the provider after all."""

    @routes.route("/api/executions/<execution_id>/dead-devices", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.response(200, object_schema("Marked", marked=int))
    def mark_dead(execution_id: str) -> Mapping[str, int]:
        """Mark the doubted devices of an execution as dead, if not registered again since."""
        return {"marked": mark_doubted_devices(database, execution_id)}


def _read_window(minutes: float | None) -> timedelta | None:
    return None if minutes is None else timedelta(minutes=minutes)
