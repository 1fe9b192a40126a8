"""Routes about executions: start, list, read, log, approve, cancel, stop."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from flask import request
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name, caller_only_simulates, simulates
from chassis.clock import utc_now
from chassis.postgres import Connection, Database
from chassis.service import Routes
from push_blaster.adapters.cadence.over_cap_table import select_over_cap_count
from push_blaster.adapters.delivery.delivery_report import select_ledger_counts
from push_blaster.adapters.executions.approval_table import select_approval
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.adapters.executions.execution_view import (
    EnteredPhase,
    select_execution,
    select_executions,
    select_phases,
)
from push_blaster.adapters.operations.engine_table import ALIVE_WITHIN, select_paces
from push_blaster.domain.delivery.ledger import LedgerCounts
from push_blaster.domain.executions.approval import Approval, Hashes, hash_what_is_sent
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import BEFORE_LIVE, Phase
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.executions.approve_execution import approve_execution
from push_blaster.use_cases.executions.resume_execution import resume_execution
from push_blaster.use_cases.executions.start_execution import StartRequest, start_automation
from push_blaster.use_cases.executions.stop_execution import (
    Receipt,
    cancel_execution,
    stop_execution,
)
from push_blaster.web.access.audit import stops
from push_blaster.web.executions.execution_schemas import (
    ApproveSchema,
    ExecutionListSchema,
    ExecutionQuerySchema,
    ExecutionSchema,
    ReceiptSchema,
    ResumeSchema,
    StartExecutionSchema,
    StopSchema,
)
from push_blaster.web.executions.log_stream import StreamShape, stream_log
from push_blaster.web.frame.common_schemas import (
    LogEntrySchema,
    LogQuerySchema,
    LogSchema,
    StartHeadersSchema,
)
from push_blaster.web.frame.cursors import read_cursor, read_instant, write_cursor

LOG_STREAM: Final = StreamShape(
    entry_id=str,
    entry=LogEntrySchema().dump,
    farewell=lambda _: "event: end\ndata: {}\n\n",
)


def execution_routes(context: WebContext) -> Routes:
    """Return the routes about executions."""
    routes = Routes("executions", __name__, description="The runs of automations")
    database, cadence = context.database, context.cadence

    @routes.route("/api/executions", methods=["POST"])
    @simulates
    @asks_for(Role.OPERATOR)
    @routes.arguments(StartExecutionSchema)
    @routes.arguments(StartHeadersSchema, location="headers")
    @routes.response(202, ExecutionSchema)
    def start(body: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
        """Start an automation now; the same Idempotency-Key starts it once."""
        minutes = body["window_minutes"]
        asked = StartRequest(
            mode=body["mode"],
            is_simulated=caller_only_simulates(),
            idempotency_key=headers["idempotency_key"],
            window=None if minutes is None else timedelta(minutes=minutes),
            slot=body["slot"],
        )
        return _show(database, start_automation(context, body["automation_id"], asked, utc_now()))

    @routes.route("/api/executions", methods=["GET"])
    @routes.arguments(ExecutionQuerySchema, location="query")
    @routes.response(200, ExecutionListSchema)
    def list_all(query: dict[str, Any]) -> dict[str, Any]:
        """List executions, newest first."""
        with database.transaction() as connection:
            found = select_executions(
                connection,
                automation_id=query["automation_id"],
                phases=query["phase"],
                before=read_cursor(query["cursor"], read_instant, str),
                limit=query["limit"],
            )
            phases = select_phases(connection, [execution.id for execution in found])
        is_full = len(found) == query["limit"]
        return {
            "executions": [_execution(e, phases.get(e.id, []), {}) for e in found],
            "next_cursor": write_cursor(found[-1].created_at, found[-1].id) if is_full else None,
        }

    @routes.route("/api/executions/<execution_id>", methods=["GET"])
    @routes.response(200, ExecutionSchema)
    def read_one(execution_id: str) -> dict[str, Any]:
        """Read one execution: its phase, its pushes and their funnels."""
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        return _show(database, execution)

    @routes.route("/api/executions/<execution_id>/log", methods=["GET"])
    @routes.arguments(LogQuerySchema, location="query")
    @routes.response(200, LogSchema)
    def read_log(query: dict[str, Any], execution_id: str) -> ResponseReturnValue:
        """Read the log; as text/event-stream it is followed, and resumed by Last-Event-ID."""
        with database.transaction() as connection:
            select_execution(connection, execution_id)
            entries = select_log(connection, execution_id, query["after"])
        if request.accept_mimetypes.best == "text/event-stream":
            after = request.headers.get("Last-Event-ID", type=int) or query["after"]
            return stream_log(database, execution_id, after, LOG_STREAM)
        last = entries[-1].id if entries else query["after"]
        return {"entries": entries, "next_after": last}

    @routes.route("/api/executions/<execution_id>/cancel", methods=["POST"])
    @stops()
    @simulates
    @asks_for(Role.OPERATOR)
    @routes.arguments(StopSchema, required=False)
    @routes.response(200, ReceiptSchema)
    def cancel(body: dict[str, Any], execution_id: str) -> dict[str, Any]:
        """Cancel an execution that is not yet live."""
        reason = body["reason"] or f"Cancelled by {caller_name()}."
        return _receipt(database, cancel_execution(database, execution_id, reason, utc_now()))

    @routes.route("/api/executions/<execution_id>/approve", methods=["POST"])
    @simulates
    @asks_for(Role.OPERATOR)
    @routes.arguments(ApproveSchema, required=False)
    @routes.response(200, ExecutionSchema)
    def approve(body: dict[str, Any], execution_id: str) -> dict[str, Any]:
        """Approve an execution in its window, so that it may go live; a change voids it."""
        seen = Hashes(body["content"], body["audience"])
        approval = Approval(by=body["by"] or caller_name(), at=utc_now(), hashes=seen)
        return _show(database, approve_execution(database, cadence, execution_id, approval))

    @routes.route("/api/executions/<execution_id>/stop", methods=["POST"])
    @stops()
    @simulates
    @asks_for(Role.OPERATOR)
    @routes.arguments(StopSchema, required=False)
    @routes.response(200, ReceiptSchema)
    def stop(body: dict[str, Any], execution_id: str) -> dict[str, Any]:
        """Stop an execution in any phase; nothing more is sent once this has answered."""
        reason = body["reason"] or f"Stopped by {caller_name()}."
        return _receipt(database, stop_execution(database, execution_id, reason, utc_now()))

    @routes.route("/api/executions/<execution_id>/resume", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(ResumeSchema, required=False)
    @routes.arguments(StartHeadersSchema, location="headers")
    @routes.response(202, ExecutionSchema)
    def resume(body: dict[str, Any], headers: dict[str, Any], execution_id: str) -> dict[str, Any]:
        """Go on with a stopped live send: a new execution, to whoever was not sent to."""
        minutes = body["window_minutes"]
        window = None if minutes is None else timedelta(minutes=minutes)
        resumed = resume_execution(context, execution_id, utc_now(), window=window, **headers)
        return _show(database, resumed)

    return routes


def _show(database: Database, execution: Execution) -> dict[str, Any]:
    with database.transaction() as connection:
        phases = select_phases(connection, [execution.id])
        counted = select_ledger_counts(connection, execution.id)
        approval = select_approval(connection, execution.id)
        over_cap = select_over_cap_count(connection, execution.id)
        paces = _select_paces(connection, execution)
    shown = _execution(execution, phases.get(execution.id, []), counted)
    return {
        **shown,
        "approval": _show_approval(execution, approval),
        "over_cap": over_cap,
        "pace": paces,
    }


def _select_paces(connection: Connection, execution: Execution) -> list[dict[str, Any]]:
    """Return at which pace each engine sends, while the execution is live."""
    if execution.phase is not Phase.LIVE_EXECUTION:
        return []
    paces = select_paces(connection, utc_now() - ALIVE_WITHIN)
    own = execution.automation.settings.rate_per_minute
    return [_slow_down(pace, own) for pace in paces] if own else paces


def _slow_down(pace: dict[str, Any], own: int) -> dict[str, Any]:
    rate = min(own, pace["ratePerMinute"])
    return {**pace, "ratePerMinute": rate, "ownRatePerMinute": own}


def _show_approval(execution: Execution, approval: Approval | None) -> dict[str, Any] | None:
    """Return what an approver looks at; None where nobody has to."""
    if execution.approval_reason is None:
        return None
    current = hash_what_is_sent(execution.automation.pushes, execution.pushes)
    return {
        "reason": execution.approval_reason,
        "content_hash": current.content,
        "audience_hash": current.audience,
        "approved_by": approval.by if approval else None,
        "approved_at": approval.at if approval else None,
    }


def _receipt(database: Database, receipt: Receipt) -> dict[str, Any]:
    names = ("sent", "in_flight", "in_doubt", "not_sent")
    totals = {name: sum(getattr(f, name) for f in receipt.funnels.values()) for name in names}
    return {"execution": _show(database, receipt.execution), **totals}


def _execution(
    execution: Execution,
    phases: Sequence[EnteredPhase],
    counted: Mapping[int, LedgerCounts],
) -> dict[str, Any]:
    return {
        "id": execution.id,
        "automation_id": execution.automation.id,
        "automation_name": execution.automation.name,
        "automation_version": execution.automation.version,
        "mode": execution.mode,
        "simulated": execution.mode is Mode.SIMULATION,
        "trigger": execution.trigger,
        "slot": execution.slot,
        "begins_at": execution.begins_at,
        "phase": execution.phase,
        "status": execution.phase if execution.has_ended else "running",
        "due_at": execution.due_at,
        "live_at": execution.live_at,
        "created_at": execution.created_at,
        "ended_at": execution.ended_at,
        "reason": execution.reason,
        "uncapped": execution.uncapped_reason is not None,
        "uncapped_reason": execution.uncapped_reason,
        "can_cancel": execution.phase in BEFORE_LIVE,
        "can_stop": not execution.has_ended,
        "can_resume": execution.can_resume,
        "resumes": execution.resumes,
        "phases": phases,
        "pushes": [
            _push(execution, number, counted.get(progress.position))
            for number, progress in enumerate(execution.pushes)
        ],
    }


def _push(execution: Execution, number: int, counted: LedgerCounts | None) -> dict[str, Any]:
    push = execution.automation.pushes[number]
    progress = execution.pushes[number]
    audience = progress.audience
    return {
        "position": progress.position,
        "push_id": push.id,
        "title": push.title,
        "layer_id": push.layer_id,
        "status": progress.status,
        "due_at": progress.due_at,
        "started_at": progress.started_at,
        "ended_at": progress.ended_at,
        "audience_name": push.audience_name,
        "source_file": audience.source_file if audience else None,
        "audience_sha256": audience.sha256 if audience else None,
        "bad_rows": list(audience.bad_rows) if audience else [],
        "forecast": progress.forecast,
        "audience_check": progress.audience_check,
        "funnel": progress.read_funnel(counted),
    }
