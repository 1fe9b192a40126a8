"""Routes that start an automation now, and report its progress to clients that poll."""

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import fields, validate

from chassis.bearer_auth import Role, asks_for, caller_only_simulates, simulates
from chassis.clock import utc_now
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.executions.execution_history import HistoryQuery, select_history
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.adapters.executions.execution_view import ExecutionNotFoundError, select_execution
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.executions.start_execution import StartRequest, start_automation
from push_blaster.web.frame.repeatable import repeatable


class ExecuteStartSchema(CamelSchema):
    """Body of POST /api/automation/execute-start."""

    automation_id = fields.String(required=True, validate=validate.Length(min=1))


class ExecutePollSchema(CamelSchema):
    """Query of GET /api/automation/execute-poll."""

    automation_id = fields.String(required=True)
    execution_id = fields.String(load_default=None)
    cursor = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**62))


def execute_routes(context: WebContext) -> Routes:
    """Return the routes that start an automation and report its progress."""
    routes = Routes("execute", __name__, description="Run now, and ask how far it is")
    database = context.database

    @routes.route("/api/automation/execute-start", methods=["POST"])
    @simulates
    @asks_for(Role.OPERATOR)
    @routes.arguments(ExecuteStartSchema, as_kwargs=True)
    @repeatable(routes, database)
    @routes.answers(202)
    def execute_start(automation_id: str, idempotency_key: str | None) -> ResponseReturnValue:
        """Start an automation now, live; the same Idempotency-Key starts it once."""
        asked = StartRequest(
            mode=Mode.LIVE,
            is_simulated=caller_only_simulates(),
            idempotency_key=idempotency_key,
        )
        execution = start_automation(context, automation_id, asked, utc_now())
        message = f"{execution.id} is started; the engine takes it up."
        return jsonify(success=True, executionId=execution.id, message=message), 202

    @routes.route("/api/automation/execute-poll", methods=["GET"])
    @routes.arguments(ExecutePollSchema, location="query", as_kwargs=True)
    @routes.answers()
    def execute_poll(
        automation_id: str, execution_id: str | None, cursor: int
    ) -> ResponseReturnValue:
        """Read the progress of an execution, by default the newest, and its log from a cursor."""
        asked = HistoryQuery(automation_id=automation_id, limit=1)
        with database.transaction() as connection:
            newest, _ = select_history(connection, asked)
            execution_id = execution_id or (newest[0].id if newest else None)
            if execution_id is None:
                raise ExecutionNotFoundError(f"{automation_id!r} has never run.")
            execution = select_execution(connection, execution_id)
            entries = select_log(connection, execution_id, cursor, limit=200)
        return jsonify(
            success=True,
            execution=_show_progress(execution),
            logs=[{**entry._asdict(), "phase": entry.stage, "data": None} for entry in entries],
            nextCursor=entries[-1].id if entries else cursor,
        )

    return routes


def _show_progress(execution: Execution) -> dict[str, object]:
    total = len(execution.pushes)
    done = sum(push.ended_at is not None for push in execution.pushes)
    return {
        "executionId": execution.id,
        "status": execution.phase if execution.has_ended else "running",
        "phase": execution.phase,
        "progress": {
            "current": done,
            "total": total,
            "percentage": round(100 * done / total) if total else 100,
        },
        "phaseMessage": execution.reason or f"{done} of {total} pushes are done.",
    }
