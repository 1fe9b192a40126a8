"""Routes about the history of automations, as the original's later version had them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.executions.execution_history import (
    HistoryQuery,
    Order,
    PastRun,
    select_history,
)
from push_blaster.adapters.executions.execution_view import (
    ExecutionNotFoundError,
    select_execution,
    select_statistics,
)
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import ENDED, Phase
from push_blaster.use_cases.executions.export_execution import Part, export_execution, file_name

STATUSES: Final = ("running", *sorted(ENDED))


class HistoryQuerySchema(CamelSchema):
    """Query of GET /api/automation/<id>/history."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, 1_000_000))
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    status = fields.String(load_default=None, validate=validate.OneOf(STATUSES))
    start_date = fields.String(load_default=None)
    end_date = fields.String(load_default=None)
    sort_by = fields.Enum(Order, by_value=True, load_default=Order.DATE)
    sort_order = fields.String(load_default="desc", validate=validate.OneOf(["asc", "desc"]))


class ExportQuerySchema(CamelSchema):
    """Query of an execution's export."""

    include = fields.Enum(Part, by_value=True, load_default=Part.ALL)


class RecentQuerySchema(CamelSchema):
    """Query of GET /api/automation/executions."""

    automation_id = fields.String(required=True)
    limit = fields.Integer(load_default=10, validate=validate.Range(1, 100))


def history_routes(database: Database) -> Routes:
    """Return the routes about the history of automations."""
    routes = Routes("history", __name__, description="What automations did")

    @routes.route("/api/automation/<automation_id>/history", methods=["GET"])
    @routes.arguments(HistoryQuerySchema, location="query", as_kwargs=True)
    @routes.answers()
    def history(automation_id: str, **query: Any) -> ResponseReturnValue:
        """List an automation's executions by page, live and tests, even if it is deleted."""
        with database.transaction() as connection:
            found, total = select_history(connection, _read_query(automation_id, **query))
        data = {
            "executions": [_show_run(run) for run in found],
            "pagination": _paginate(query["page"], query["limit"], total),
        }
        return jsonify(success=True, data=data, message=f"{total} executions.")

    @routes.route(
        "/api/automation/<automation_id>/executions/<execution_id>/export", methods=["GET"]
    )
    @routes.arguments(ExportQuerySchema, location="query", as_kwargs=True)
    @routes.answers(content_type="text/csv")
    def export(include: Part, automation_id: str, execution_id: str) -> Response:
        """Export an execution as a CSV file that is safe to open in a spreadsheet."""
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        if execution.automation.id != automation_id:
            raise ExecutionNotFoundError(f"{automation_id!r} has no execution {execution_id!r}.")
        response = Response(export_execution(database, execution, include), mimetype="text/csv")
        response.headers["Content-Disposition"] = f'attachment; filename="{file_name(execution)}"'
        return response

    @routes.route("/api/automation/executions", methods=["GET"])
    @routes.arguments(RecentQuerySchema, location="query", as_kwargs=True)
    @routes.answers()
    def recent(automation_id: str, limit: int) -> ResponseReturnValue:
        """List an automation's newest executions, and their results."""
        asked = HistoryQuery(automation_id=automation_id, limit=limit)
        with database.transaction() as connection:
            found, _ = select_history(connection, asked)
            counted = select_statistics(connection, [automation_id]).get(automation_id, {})
        data = {
            "history": [_show_run(run) for run in found],
            "stats": _count_recent(found, counted),
        }
        return jsonify(success=True, data=data, message="Found.")

    return routes


def _paginate(page: int, limit: int, total: int) -> dict[str, object]:
    pages = -(-total // limit)
    return {
        "page": page,
        "limit": limit,
        "total": total,
        "totalPages": pages,
        "hasNext": page < pages,
        "hasPrev": page > 1,
    }


def _read_query(  # noqa: PLR0913 - the names of the query
    automation_id: str,
    *,
    page: int,
    limit: int,
    status: str | None,
    start_date: str | None,
    end_date: str | None,
    sort_by: Order,
    sort_order: str,
) -> HistoryQuery:
    return HistoryQuery(
        automation_id=automation_id,
        status=status,
        since=_read_instant("startDate", start_date, timedelta(0)),
        until=_read_instant("endDate", end_date, timedelta(days=1)),
        order=sort_by,
        ascending=sort_order == "asc",
        offset=(page - 1) * limit,
        limit=limit,
    )


def _read_instant(name: str, text: str | None, of_day: timedelta) -> datetime | None:
    """Return the instant; of a day without a time, the instant `of_day` after its start in UTC."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant and len(text) <= len("2026-11-24"):
        return instant.replace(tzinfo=UTC) + of_day
    if instant is None or instant.tzinfo is None:
        raise ValidationError({name: ["Write a day (2026-11-24), or an instant with its offset."]})
    return instant


def _show_run(run: PastRun) -> Mapping[str, object]:
    ended = run.ended_at
    return {
        "executionId": run.id,
        "mode": run.mode,
        "startTime": run.started_at,
        "endTime": ended,
        "status": run.phase if ended else "running",
        "phase": run.phase,
        "reason": run.reason,
        "duration": round((ended - run.started_at).total_seconds() * 1_000) if ended else None,
        "metrics": {
            "totalSentCount": run.sent,
            "totalAudienceSize": run.audience,
            "failedPushes": run.pushes_failed,
            "successfulPushes": run.pushes_sent,
        },
    }


def _count_recent(found: Sequence[PastRun], counted: Mapping[str, object]) -> Mapping[str, object]:
    live = [run for run in found if run.mode == Mode.LIVE]
    ended = [run for run in live if run.phase in (Phase.COMPLETED, Phase.FAILED)]
    good = sum(run.phase == Phase.COMPLETED for run in ended)
    last = live[0] if live else None
    return {
        "totalExecutions": counted.get("totalExecutions", 0),
        "successfulExecutions": counted.get("successfulExecutions", 0),
        "failedExecutions": counted.get("failedExecutions", 0),
        "recentSuccessRate": good / len(ended) if ended else None,
        "lastRunWithin24h": bool(last and utc_now() - last.started_at <= timedelta(hours=24)),
        "lastExecution": {
            "status": last.phase if last.ended_at else "running",
            "completedAt": last.ended_at,
            "audienceSize": last.audience,
        }
        if last
        else None,
    }
