"""Routes that control automations: pause, resume, cancel, emergency stop of one or of all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import validate

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import BEFORE_LIVE, RUNNING
from push_blaster.domain.schedule.finding import Finding, FindingKind
from push_blaster.use_cases.automations.control_automation import (
    Action,
    Control,
    Controlled,
    describe_emergency_stop,
    find_actions,
)
from push_blaster.use_cases.automations.control_many import (
    BULK_ACTIONS,
    BulkControl,
    BulkReport,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.refuse_activation import find_fatal
from push_blaster.web.access.audit import stops
from push_blaster.web.frame.common_schemas import AUTOMATION_ID, REASON
from push_blaster.web.frame.repeatable import repeatable
from push_blaster.web.frame.starts import start_for_caller

#: The action of the later version that starts an execution.
EXECUTE_NOW: Final = "execute_now"

BulkReportSchema = answer_schema(BulkReport)


def control_routes(context: WebContext) -> Routes:
    """Return the routes that control automations."""
    database = context.database
    routes = Routes("control", __name__, description="Pause, resume, stop")
    control = Control(context.files, database)
    _add_control_of_many(routes, bulk_control(context))

    @routes.route("/api/automation/control", methods=["POST"])
    @stops(Action.PAUSE, Action.CANCEL, Action.EMERGENCY_STOP)
    @asks_for(Role.OPERATOR)
    @routes.body("Control")
    @repeatable(routes, database)
    @routes.answers()
    @routes.answers(202)
    def act(
        idempotency_key: str | None,
        *,
        automation_id: str = AUTOMATION_ID,
        action: str = about(validate=validate.OneOf([*Action, EXECUTE_NOW])),
        reason: str = REASON,
    ) -> ResponseReturnValue:
        """Pause, resume, cancel, stop or run an automation; the answer says what was done."""
        if action == EXECUTE_NOW:
            return _execute_now(context, automation_id, idempotency_key)
        reason = reason or f"{action} by {caller_name()}."
        done = control.act(Action(action), automation_id, reason, utc_now())
        answer = _show_controlled(done)
        if action == Action.RESUME:
            fatal = find_fatal(read_automation(done.document), context, utc_now())
            answer["warnings"] = [finding.message for finding in fatal]
        return jsonify(success=True, executionId=automation_id, **answer)

    @routes.route("/api/automation/control", methods=["GET"])
    @routes.query
    def read(*, id: str = AUTOMATION_ID) -> ResponseReturnValue:  # noqa: A002 - the query's own name
        """Read what runs of an automation, and which actions are possible."""
        return jsonify(success=True, data=_read_control(context, control, id), message="Found.")

    @routes.route("/api/automation/emergency-stop", methods=["POST"])
    @stops()
    @asks_for(Role.OPERATOR)
    @routes.body("EmergencyStop", required=False)
    def stop_everything(*, reason: str = REASON) -> ResponseReturnValue:
        """Stop every execution in any phase, and pause every automation that is scheduled."""
        reason = reason or f"Emergency stop of everything by {caller_name()}."
        done = control.stop_everything(reason, utc_now())
        return jsonify(
            success=True,
            message=describe_emergency_stop(done),
            automations=[{"id": one.document["id"], **_show_controlled(one)} for one in done],
        )

    return routes


def _add_control_of_many(routes: Routes, bulk: BulkControl) -> None:
    @routes.route("/api/automation/control-many", methods=["POST"])
    @stops(Action.PAUSE)
    @asks_for(Role.OPERATOR)
    @routes.body("ControlMany")
    @routes.response(200, BulkReportSchema)
    def act_on_many(
        *,
        automation_ids: Sequence[str] = about(validate=validate.Length(min=1, max=10_000)),
        action: str = about(validate=validate.OneOf(BULK_ACTIONS)),
        reason: str = REASON,
    ) -> BulkReport:
        """Pause or resume many automations; the answer has the result of each."""
        reason = reason or f"{action} of many by {caller_name()}."
        return bulk.act(Action(action), automation_ids, reason, utc_now())


def bulk_control(context: WebContext) -> BulkControl:
    """Return the control of many automations."""

    def find(automation: Automation, now: datetime) -> Sequence[Finding]:
        return find_fatal(automation, context, now)

    return BulkControl(Control(context.files, context.database), find)


def _read_control(context: WebContext, control: Control, automation_id: str) -> dict[str, object]:
    document = context.files.load(automation_id)
    running = control.running(automation_id, RUNNING)
    with context.database.transaction() as connection:
        executions = [select_execution(connection, id_) for id_ in running]
    actions = find_actions(read_automation(document), {e.phase for e in executions})
    current = executions[0] if executions else None
    return {
        "automation": {name: document[name] for name in ("id", "name", "status", "type")},
        "executionStatus": _show_status(current) if current else None,
        "cancellationInfo": _cancellation(current) if current else None,
        "availableActions": actions,
        "emergencyStopAlwaysAvailable": Action.EMERGENCY_STOP in actions,
    }


def _execute_now(
    context: WebContext, automation_id: str, idempotency_key: str | None
) -> ResponseReturnValue:
    execution = start_for_caller(context, automation_id, Mode.LIVE, idempotency_key)
    message = (
        f"{execution.id} is started, and nothing is sent yet: it goes through audience, test and "
        f"window first. How it goes, and how it ends: GET /api/executions/{execution.id}."
    )
    return jsonify(
        success=True,
        executionId=execution.id,
        status=execution.phase,
        message=message,
        warnings=[
            finding.message
            for finding in find_fatal(execution.automation, context, utc_now())
            if finding.kind is not FindingKind.NEVER_SENDS  # it sends now, whatever its schedule
        ],
    ), 202


def _show_controlled(done: Controlled) -> dict[str, object]:
    stopped = [
        {"id": execution_id, "sent": totals.sent, "inDoubt": totals.in_doubt}
        for execution_id, totals in done.stopped.items()
    ]
    return {
        "status": done.document["status"],
        "message": done.describe(),
        "cancelledExecutions": done.cancelled,
        "stoppedExecutions": stopped,
    }


def _show_status(execution: Execution) -> dict[str, object]:
    return {
        "id": execution.id,
        "phase": execution.phase,
        "startTime": execution.created_at.isoformat(),
        "canCancel": execution.phase in BEFORE_LIVE,
        "cancellationDeadline": _deadline(execution),
    }


def _cancellation(execution: Execution) -> dict[str, object]:
    deadline = execution.live_at or execution.slot
    left = (deadline - utc_now()).total_seconds() / 60
    return {
        "canCancel": execution.phase in BEFORE_LIVE,
        "timeRemainingMinutes": max(0, round(left)) if execution.phase in BEFORE_LIVE else 0,
        "deadline": _deadline(execution),
    }


def _deadline(execution: Execution) -> str:
    return (execution.live_at or execution.slot).isoformat()
