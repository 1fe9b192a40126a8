"""Routes about sequences, the original's name of executions."""

from typing import Any, Final

from flask import jsonify
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.service import Routes
from chassis.typed_schemas import about
from push_blaster.adapters.executions.execution_view import (
    count_by_phase,
    select_execution,
    select_executions,
)
from push_blaster.adapters.executions.violation_table import ViolationQuery, select_violations
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.original.control_sequence import (
    SequenceAction,
    control_sequence,
    delete_sequence,
)
from push_blaster.web.access.audit import stops
from push_blaster.web.frame.common_schemas import AUTOMATION_ID, REASON, up_to
from push_blaster.web.frame.repeatable import repeatable
from push_blaster.web.frame.starts import start_for_caller
from push_blaster.web.original.sequence_shapes import (
    show_brief,
    show_result,
    show_stats,
    show_whole,
)

_PATH: Final = "/api/automation/sequences"
_ONE: Final = f"{_PATH}/<execution_id>"
#: The modes of the original's sequences; the test modes have routes of their own.
MODES: Final = (Mode.LIVE, Mode.REAL_DRY_RUN, Mode.SIMULATION)
USE_CACHE: Final[Any] = about(
    False, description="Of no effect: each execution generates its audience once."
)


def sequence_routes(context: WebContext) -> Routes:
    """Return the routes about sequences."""
    routes = Routes("sequences", __name__, description="Executions, as the original showed them")
    _add_start(routes, context)
    _add_reads(routes, context)
    _add_control(routes, context)
    return routes


def _add_start(routes: Routes, context: WebContext) -> None:
    @routes.route(_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("StartSequence")
    @repeatable(routes, context.database)
    @routes.answers(202)
    def start(
        idempotency_key: str | None,
        *,
        automation_id: str = AUTOMATION_ID,
        is_dry_run: bool = False,
        use_cache: bool = USE_CACHE,  # noqa: ARG001 - clients of the original send it
    ) -> ResponseReturnValue:
        """Start an automation's sequence, live or dry; the answer comes before the run."""
        mode = Mode.REAL_DRY_RUN if is_dry_run else Mode.LIVE
        execution = start_for_caller(context, automation_id, mode, idempotency_key)
        with context.database.transaction() as connection:
            funnels = select_funnels(connection, [execution.id])[execution.id]
        message = f"Started; follow it at {_PATH}/{execution.id}."
        data = {**show_brief(execution), "executionResult": show_result(execution, funnels)}
        return jsonify(success=True, data=data, message=message), 202


def _add_reads(routes: Routes, context: WebContext) -> None:
    @routes.route(_PATH, methods=["GET"])
    @routes.query
    def list_all(
        *,
        execution_id: str | None = None,
        automation_id: str | None = None,
        include_stats: bool = False,
        limit: int = up_to(200),
    ) -> ResponseReturnValue:
        """List executions, live and dry, newest first; with `executionId`, all fields of one."""
        if execution_id:
            return _answer_whole(context, execution_id)
        with context.database.transaction() as connection:
            found = select_executions(
                connection,
                ExecutionFilter(automation_id=automation_id, modes=MODES),
                limit=limit,
            )
            counts = count_by_phase(connection, MODES) if include_stats else None
        data: dict[str, object] = {"executions": [show_brief(execution) for execution in found]}
        if counts is not None:
            data["stats"] = show_stats(counts)
        return jsonify(success=True, data=data, message=f"{number_of(len(found), 'execution')}.")

    @routes.route(_ONE, methods=["GET"])
    def read_one(execution_id: str) -> ResponseReturnValue:
        """Read one execution: its pushes, audiences, safety, and possible actions."""
        return _answer_whole(context, execution_id)


def _add_control(routes: Routes, context: WebContext) -> None:
    @routes.route(_ONE, methods=["POST"])
    @stops(SequenceAction.CANCEL, SequenceAction.EMERGENCY_STOP)
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("SequenceAction")
    def act(
        execution_id: str, *, action: SequenceAction, reason: str = REASON
    ) -> ResponseReturnValue:
        """Cancel an execution between two pushes, or stop it in the middle of one."""
        reason = reason or f"{action} by {caller_name()}."
        receipt = control_sequence(context.database, execution_id, action, reason, utc_now())
        sent, in_doubt = receipt.totals.sent, receipt.totals.in_doubt
        message = f"Ended: {sent} were sent, {in_doubt} are in doubt; no other user gets a message."
        data = {**show_brief(receipt.execution), "sent": sent, "inDoubt": in_doubt}
        return jsonify(success=True, data=data, message=message)

    @routes.route(_ONE, methods=["DELETE"])
    def delete(execution_id: str) -> ResponseReturnValue:
        """Delete a dry run that has ended; live executions stay on record."""
        delete_sequence(context.database, context.data_folder, execution_id)
        return jsonify(success=True, message=f"{execution_id!r} is deleted.")


def _answer_whole(context: WebContext, execution_id: str) -> ResponseReturnValue:
    with context.database.transaction() as connection:
        execution = select_execution(connection, execution_id)
        funnels = select_funnels(connection, [execution_id])[execution_id]
        violations = select_violations(connection, ViolationQuery(execution_id=execution_id))
    data = show_whole(execution, funnels, violations, context.data_folder)
    return jsonify(success=True, data=data, message="Found.")
