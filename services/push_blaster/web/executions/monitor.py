"""Routes that watch all automations: running executions, findings of safeguards, health."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import validate

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.health import Questions
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.executions.execution_log import select_log
from push_blaster.adapters.executions.execution_view import select_executions
from push_blaster.adapters.executions.violation_table import (
    KeptViolation,
    ViolationCounts,
    ViolationQuery,
    count_violations,
    resolve_violation,
    select_violations,
)
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.phase import RUNNING
from push_blaster.domain.executions.safeguards import Severity
from push_blaster.use_cases.context import WebContext

#: How much an open violation lowers the health score of 100.
CRITICAL_COSTS: Final = 20
WARNING_COSTS: Final = 5
HEALTHY_ABOVE: Final = 80
WARNING_ABOVE: Final = 60
RECENT: Final = 5
VIEWS: Final = ("overview", "violations", "executions", "health")


def monitor_routes(context: WebContext, max_concurrent: int) -> Routes:
    """Return the routes that watch over automations; an engine runs `max_concurrent` at once."""
    routes = Routes(
        "monitor", __name__, description="Running executions, and findings of safeguards"
    )
    path = "/api/automation/monitor"
    parts = Questions({"database": context.database.ping, "cadence": context.cadence.ping})

    @routes.route(path, methods=["GET"])
    @routes.query
    def watch(
        *,
        type: str = about("overview", validate=validate.OneOf(VIEWS)),  # noqa: A002 - its own name
        automation_id: str | None = None,
        severity: Severity | None = None,
        resolved: bool | None = None,
    ) -> ResponseReturnValue:
        """Tell the overview, the violations, the running executions, or the health."""
        asked = ViolationQuery(automation_id=automation_id, severity=severity, resolved=resolved)
        read = {
            "overview": lambda: _overview(context.database, context.files),
            "violations": lambda: _violations(context.database, asked),
            "executions": lambda: _executions(context.database),
            "health": lambda: _health(context.database, parts, max_concurrent),
        }
        data = read[type]()
        return jsonify(success=True, data=data, message="Found.")

    @routes.route(path, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.body("Resolve")
    def resolve(
        *,
        action: str = about(validate=validate.OneOf(["resolve_violation"])),  # noqa: ARG001 - checked
        violation_id: UUID,
        resolution: str = about(validate=validate.Length(min=1, max=1_000)),
    ) -> ResponseReturnValue:
        """Mark a violation as resolved."""
        with context.database.transaction() as connection:
            done = resolve_violation(connection, violation_id, resolution, utc_now())
        message = "Resolved." if done else "There is no such open violation."
        return jsonify(success=done, message=message)

    return routes


def _overview(database: Database, files: AutomationFiles) -> Mapping[str, object]:
    with database.transaction() as connection:
        counted = count_violations(connection)
        running = select_executions(connection, ExecutionFilter(phases=RUNNING), limit=200)
        recent = select_violations(connection, ViolationQuery(limit=RECENT))
    score = _score(counted)
    return {
        "metrics": {
            "totalAutomations": len(files.list_all().documents),
            "activeExecutions": len(running),
            "totalViolations": counted.total,
            "criticalViolations": counted.critical,
            "lastViolationTime": counted.last_at,
            "systemHealthScore": score,
        },
        "activeExecutions": {"count": len(running), "executions": [_brief(e) for e in running]},
        "recentViolations": [_show_violation(violation) for violation in recent],
        "systemStatus": {
            "healthy": score > HEALTHY_ABOVE,
            "healthScore": score,
            "criticalIssues": counted.open_critical,
            "warningIssues": counted.open_warning,
        },
    }


def _violations(database: Database, asked: ViolationQuery) -> Mapping[str, object]:
    with database.transaction() as connection:
        found = select_violations(connection, asked)
        counted = count_violations(connection)
    names = ("total", "critical", "warning", "unresolved")
    return {
        "violations": [_show_violation(violation) for violation in found],
        "summary": {name: getattr(counted, name) for name in names},
    }


def _executions(database: Database) -> Mapping[str, object]:
    with database.transaction() as connection:
        running = select_executions(connection, ExecutionFilter(phases=RUNNING), limit=200)
        logs = {e.id: select_log(connection, e.id) for e in running}
    shown = [{**_brief(e), "fullLog": [one._asdict() for one in logs[e.id]]} for e in running]
    return {"activeCount": len(running), "executions": shown}


def _health(database: Database, parts: Questions, max_concurrent: int) -> Mapping[str, object]:
    with database.transaction() as connection:
        counted = count_violations(connection)
        running = select_executions(connection, ExecutionFilter(phases=RUNNING), limit=200)
    found = parts.ask().states
    score = _score(counted)
    return {
        "overall": {"score": score, "status": _status(score)},
        "components": {
            "automation_engine": {
                "activeExecutions": len(running),
                "maxConcurrent": max_concurrent,
            },
            "safeguard_monitor": {"openViolations": counted.unresolved},
            "storage_system": {"database": found["database"]},
            "cadence_service": {"status": found["cadence"]},
        },
        "recommendations": _recommend(counted, found),
        "metrics": {"totalViolations": counted.total, "activeExecutions": len(running)},
    }


def _recommend(counted: ViolationCounts, found: dict[str, str]) -> list[str]:
    advice = [f"{name}: {state}" for name, state in found.items() if state != "ok"]
    if counted.unresolved:
        advice.append(f"Look at the {counted.unresolved} open violations, and resolve them.")
    return advice


def _score(counted: ViolationCounts) -> int:
    lost = CRITICAL_COSTS * counted.open_critical + WARNING_COSTS * counted.open_warning
    return max(0, 100 - lost)


def _status(score: int) -> str:
    if score > HEALTHY_ABOVE:
        return "healthy"
    return "warning" if score > WARNING_ABOVE else "critical"


def _brief(execution: Execution) -> Mapping[str, object]:
    return {
        "executionId": execution.id,
        "automationId": execution.automation.id,
        "mode": execution.mode,
        "phase": execution.phase,
        "startTime": execution.created_at,
    }


def _show_violation(violation: KeptViolation) -> Mapping[str, object]:
    return {
        "id": violation.id,
        "automationId": violation.automation_id,
        "executionId": violation.execution_id,
        "type": violation.type,
        "severity": violation.severity,
        "message": violation.message,
        "data": violation.data,
        "timestamp": violation.at,
        "resolved": violation.resolved_at is not None,
        "actionTaken": violation.resolution,
    }
