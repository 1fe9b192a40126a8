"""Routes about the history of automations, as the original's later version had them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, validate

from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.instants import is_near
from chassis.postgres import Database
from chassis.schemas import check_period
from chassis.service import Routes
from chassis.typed_schemas import about, request_schema
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
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.executions.export_execution import Part, export_execution, file_name
from push_blaster.web.frame.common_schemas import up_to
from push_blaster.web.frame.csv_answers import answer_csv

STATUSES: Final = ("running", *sorted(ENDED))


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPageQuery:
    """Query of GET /api/automation/<id>/history."""

    page: int = up_to(1_000_000, 1)
    limit: int = up_to(100, 20)
    status: str | None = about(None, validate=validate.OneOf(STATUSES))
    start_date: str | None = None
    end_date: str | None = None
    sort_by: Order = Order.DATE
    sort_order: str = about("desc", validate=validate.OneOf(["asc", "desc"]))

    def of(self, automation_id: str) -> HistoryQuery:
        """Return the query of the executions of one automation. Raises: ValidationError."""
        since = _read_instant("startDate", self.start_date, timedelta(0))
        until = _read_instant("endDate", self.end_date, timedelta(days=1))
        check_period(since, until, "startDate", "endDate")
        return HistoryQuery(
            automation_id=automation_id,
            status=self.status,
            since=since,
            until=until,
            order=self.sort_by,
            ascending=self.sort_order == "asc",
            offset=(self.page - 1) * self.limit,
            limit=self.limit,
        )


def history_routes(database: Database) -> Routes:
    """Return the routes about the history of automations."""
    routes = Routes("history", __name__, description="What automations did")

    @routes.route("/api/automation/<automation_id>/history", methods=["GET"])
    @routes.arguments(request_schema(HistoryPageQuery), location="query")
    def history(query: HistoryPageQuery, automation_id: str) -> ResponseReturnValue:
        """List an automation's executions by page, live and tests, even if it is deleted."""
        with database.transaction() as connection:
            found, total = select_history(connection, query.of(automation_id))
        data = {
            "executions": [_show_run(run) for run in found],
            "pagination": _paginate(query.page, query.limit, total),
        }
        return jsonify(success=True, data=data, message=f"{number_of(total, 'execution')}.")

    @routes.route(
        "/api/automation/<automation_id>/executions/<execution_id>/export", methods=["GET"]
    )
    @of_class(RequestClass.EXPORT)
    @routes.query
    @routes.answers(content_type="text/csv")
    def export(automation_id: str, execution_id: str, *, include: Part = Part.ALL) -> Response:
        """Export an execution as a CSV file that is safe to open in a spreadsheet."""
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        if execution.automation.id != automation_id:
            raise ExecutionNotFoundError(f"{automation_id!r} has no execution {execution_id!r}.")
        return answer_csv(export_execution(database, execution, include), file_name(execution))

    @routes.route("/api/automation/executions", methods=["GET"])
    @routes.query
    def recent(*, automation_id: str, limit: int = up_to(100, 10)) -> ResponseReturnValue:
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


def _read_instant(name: str, text: str | None, of_day: timedelta) -> datetime | None:
    """Return the instant; of a day without a time, the instant `of_day` after its start in UTC."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant and is_near(instant) and len(text) <= len("2026-11-24"):
        return instant.replace(tzinfo=UTC) + of_day
    if instant is None or instant.tzinfo is None or not is_near(instant):
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
