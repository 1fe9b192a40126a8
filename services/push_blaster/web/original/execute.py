"""Routes that start an automation now, and report its progress to clients that poll."""

from flask import jsonify
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.service import Routes
from push_blaster.adapters.executions.execution_history import HistoryQuery, select_history
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.adapters.executions.execution_view import ExecutionNotFoundError, select_execution
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.context import WebContext
from push_blaster.web.frame.common_schemas import AFTER, AUTOMATION_ID
from push_blaster.web.frame.repeatable import repeatable
from push_blaster.web.frame.starts import start_for_caller


def execute_routes(context: WebContext) -> Routes:
    """Return the routes that start an automation and report its progress."""
    routes = Routes("execute", __name__, description="Run now, and ask how far it is")
    database = context.database

    @routes.route("/api/automation/execute-start", methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("ExecuteStart")
    @repeatable(routes, database)
    @routes.answers(202)
    def execute_start(
        idempotency_key: str | None, *, automation_id: str = AUTOMATION_ID
    ) -> ResponseReturnValue:
        """Start an automation now, live; the same Idempotency-Key starts it once."""
        execution = start_for_caller(context, automation_id, Mode.LIVE, idempotency_key)
        message = f"{execution.id} is started; an engine will begin it."
        return jsonify(success=True, executionId=execution.id, message=message), 202

    @routes.route("/api/automation/execute-poll", methods=["GET"])
    @routes.query
    def execute_poll(
        *, automation_id: str, execution_id: str | None = None, cursor: int = AFTER
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
        "phaseMessage": execution.reason or f"{done} of {number_of(total, 'push')} done.",
    }
