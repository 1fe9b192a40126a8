"""Routes for tests of an automation: the checks, the test modes, their log, their end."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.schemas import InstantField
from chassis.service import Routes
from chassis.typed_schemas import about
from push_blaster.adapters.executions.execution_log import LogEntry
from push_blaster.adapters.executions.execution_view import select_execution, select_executions
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.modes import TEST_MODES, Mode
from push_blaster.domain.executions.phase import RUNNING, Phase
from push_blaster.use_cases.automations.check_automation import (
    CheckResult,
    CheckStatus,
    check_automation,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.executions.stop_execution import CannotStopError, stop_execution
from push_blaster.web.access.audit import stops
from push_blaster.web.executions.log_stream import StreamShape, sse, stream_log
from push_blaster.web.frame.common_schemas import AUTOMATION_ID
from push_blaster.web.frame.repeatable import repeatable
from push_blaster.web.frame.starts import start_for_caller

#: For how long a test that has ended is followed without its id: the POST comes before the GET.
JUST_ENDED: Final = timedelta(minutes=1)
#: A log entry's id in Last-Event-ID.
_ENTRY_ID: Final = re.compile(r"[0-9]{1,18}")
_ONE: Final = "/api/automation/test/<automation_id>"


class TestModeField(fields.Enum[Mode]):
    """A mode that tries an automation out, or `live-send`, the original's name for live."""

    def __init__(self, **options: Any) -> None:
        """Take marshmallow's usual options."""
        super().__init__(Mode, by_value=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Mode:
        if value == "live-send":
            return Mode.LIVE
        return super()._deserialize(value, attr, data, **options)


MODE: Final[Any] = about(like=TestModeField)
IS_TEST: Final = validate.OneOf(
    sorted(TEST_MODES), error="To send live, POST /api/executions with the mode 'live'."
)


@dataclass(frozen=True, slots=True)
class _Tests:
    context: WebContext

    def running(self, automation_id: str, modes: Sequence[Mode]) -> list[Execution]:
        with self.context.database.transaction() as connection:
            return select_executions(
                connection,
                ExecutionFilter(automation_id=automation_id, phases=RUNNING, modes=modes),
            )

    def find(self, automation_id: str, execution_id: str, mode: Mode) -> Execution:
        with self.context.database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        if (execution.automation.id, execution.mode) != (automation_id, mode):
            complaint = f"{execution_id!r} is no {mode} of {automation_id!r}."
            raise ValidationError({"executionId": [complaint]})
        return execution

    def find_followed(
        self, automation_id: str, execution_id: str | None, mode: Mode
    ) -> tuple[Execution, int]:
        """Return the execution to follow, and the last entry of its log that the client has.

        Without an id it is the one that runs, or has just ended; a GET starts none. A client that
        lost the connection asks for the event stream again, and gets what follows.
        """
        followed, _, after = request.headers.get("Last-Event-ID", "").rpartition("|")
        wanted = execution_id or followed
        if wanted:
            is_resumed = wanted == followed and _ENTRY_ID.fullmatch(after)
            found = self.find(automation_id, wanted, mode)
            return found, int(after) if is_resumed else 0
        with self.context.database.transaction() as connection:
            last = select_executions(
                connection, ExecutionFilter(automation_id=automation_id, modes=[mode]), limit=1
            )
        ended = [one for one in last if (one.ended_at or utc_now()) < utc_now() - JUST_ENDED]
        if not last or ended:
            raise ValidationError({"executionId": [_tell_how_to_start(automation_id, mode)]})
        return last[0], 0


def _tell_how_to_start(automation_id: str, mode: Mode) -> str:
    is_live = mode is Mode.LIVE
    path = "/api/executions" if is_live else f"/api/automation/test/{automation_id}"
    return (
        f"A GET sends nothing and starts nothing, and no {mode} of {automation_id!r} runs. Start "
        f'it: POST {path} with {{"mode": "{mode}"}}, then follow its executionId here.'
    )


def automation_test_routes(context: WebContext) -> Routes:
    """Return the routes that try automations out."""
    routes = Routes("tests", __name__, description="Try an automation out")
    _add_suite(routes, context)
    _add_start_and_log(routes, _Tests(context))
    _add_kill(routes, _Tests(context))
    return routes


def _add_suite(routes: Routes, context: WebContext) -> None:
    @routes.route("/api/automation/test", methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("Suite")
    def run_suite(*, automation_id: str = AUTOMATION_ID) -> ResponseReturnValue:
        """Check everything that a live send needs; nothing is run, sent or saved."""
        document = context.files.load(automation_id)
        results = check_automation(document, context, utc_now())
        return jsonify(success=True, data=_report(document, results), message="Looked at.")


def _add_start_and_log(routes: Routes, tests: _Tests) -> None:
    @routes.route(_ONE, methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("StartTest")
    @repeatable(routes, tests.context.database)
    @routes.answers(202)
    def start(
        automation_id: str,
        idempotency_key: str | None,
        *,
        mode: Mode = about(like=TestModeField, validate=IS_TEST),
        slot: datetime | None = about(None, like=InstantField),
    ) -> ResponseReturnValue:
        """Start a test; follow it by its executionId. The same Idempotency-Key starts it once."""
        execution = start_for_caller(tests.context, automation_id, mode, idempotency_key, slot=slot)
        message = f"The test {execution.id!r} is started."
        return jsonify(success=True, executionId=execution.id, message=message), 202

    @routes.route(_ONE, methods=["GET"])
    @of_class(RequestClass.STREAM)
    @asks_for(Role.OPERATOR)
    @routes.query
    @routes.answers(content_type="text/event-stream")
    def follow(
        automation_id: str, *, mode: Mode = MODE, execution_id: str | None = None
    ) -> Response:
        """Follow a test's log as events; start the test by POST first."""
        execution, after = tests.find_followed(automation_id, execution_id, mode)
        shape = StreamShape(lambda n: f"{execution.id}|{n}", _log_event, _farewell)
        return stream_log(tests.context.database, execution.id, after, shape)


def _add_kill(routes: Routes, tests: _Tests) -> None:
    @routes.route(f"{_ONE}/kill", methods=["POST"])
    @stops()
    @asks_for(Role.OPERATOR)
    @routes.body("KillTest")
    def kill(automation_id: str, *, mode: Mode = MODE) -> ResponseReturnValue:
        """Stop a running test, with its script and its messages."""
        database, killed = tests.context.database, []
        for execution in tests.running(automation_id, [mode]):
            try:
                stop_execution(database, execution.id, "The test was killed.", utc_now())
            except CannotStopError:
                continue  # it has ended by itself meanwhile
            killed.append(execution.id)
        message = f"Killed: {', '.join(killed)}." if killed else "No such test is running."
        return jsonify(success=bool(killed), message=message)

    @routes.route(f"{_ONE}/kill", methods=["GET"])
    def list_running(automation_id: str) -> ResponseReturnValue:
        """List the running tests of an automation."""
        running = tests.running(automation_id, sorted(TEST_MODES))
        shown = [_show_running(execution) for execution in running]
        return jsonify(success=True, automationId=automation_id, runningTests=shown)


def _report(document: Mapping[str, Any], results: Sequence[CheckResult]) -> dict[str, object]:
    def count(status: CheckStatus) -> int:
        return sum(result.outcome.status is status for result in results)

    failed, warnings = count(CheckStatus.FAIL), count(CheckStatus.WARNING)
    overall = CheckStatus.FAIL if failed else CheckStatus.WARNING if warnings else CheckStatus.PASS
    return {
        "automationId": document["id"],
        "automationName": document["name"],
        "totalTests": len(results),
        "passedTests": count(CheckStatus.PASS),
        "failedTests": failed,
        "warningTests": warnings,
        "overallStatus": overall,
        "duration": round(sum(result.duration_s for result in results) * 1_000),
        "results": [_show_result(result) for result in results],
        "recommendations": [
            text for r in results for text in (*r.outcome.errors, *r.outcome.warnings)
        ],
    }


def _show_result(result: CheckResult) -> dict[str, object]:
    outcome = result.outcome
    return {
        "testName": result.name,
        "status": outcome.status,
        "message": " ".join((*outcome.errors, *outcome.warnings)) or outcome.ok,
        "details": {"broken": list(outcome.errors), "odd": list(outcome.warnings)},
        "duration": round(result.duration_s * 1_000),
    }


_STAGES: Final = {
    Phase.WAITING: "INIT",
    Phase.AUDIENCE_GENERATION: "CONFIG",
    "script": "SCRIPT",
    Phase.TEST_SENDING: "EXECUTION",
    Phase.CANCELLATION_WINDOW: "SCHEDULE",
    Phase.LIVE_EXECUTION: "EXECUTION",
    Phase.COMPLETED: "COMPLETE",
    Phase.CANCELLED: "KILLED",
    Phase.FAILED: "EXECUTION",
}


def _log_event(entry: LogEntry) -> dict[str, object]:
    return {
        "type": "log",
        "timestamp": entry.timestamp.isoformat(),
        "level": entry.level,
        "message": entry.message,
        "stage": _STAGES.get(entry.stage, "EXECUTION"),
    }


def _farewell(execution: Execution) -> str:
    message = execution.reason or f"{execution.id} is {execution.phase}."
    if execution.phase is Phase.FAILED:
        return sse({"type": "error", "message": message})
    success = execution.phase is Phase.COMPLETED
    return sse({"type": "result", "success": success, "message": message})


def _show_running(execution: Execution) -> dict[str, object]:
    return {
        "key": f"{execution.automation.id}-{execution.mode}",
        "mode": execution.mode,
        "executionId": execution.id,
        "duration": round((utc_now() - execution.created_at).total_seconds() * 1_000),
        "hasProcess": execution.phase is Phase.AUDIENCE_GENERATION,
    }
