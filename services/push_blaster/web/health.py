"""Whether push_blaster is well: its own parts, its engines, and its neighbours."""

import resource
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Response, jsonify

from chassis.bearer_auth import needs_no_token
from chassis.clock import utc_now
from chassis.health import check_parts
from chassis.postgres import Database, DatabaseAwayError
from chassis.service import Routes
from push_blaster.adapters.automation_files import AutomationFiles
from push_blaster.adapters.cadence_client import CadenceClient
from push_blaster.adapters.engine_table import select_engines
from push_blaster.adapters.execution_table import count_running

#: An engine that has been silent for longer is not counted as alive.
ALIVE_WITHIN: Final = timedelta(seconds=15)


def health_routes(
    database: Database, files: AutomationFiles, cadence: CadenceClient, started_at: datetime
) -> Routes:
    """Return the route that tells, without a token, how push_blaster is."""
    routes = Routes("health", __name__, description="Health")

    @routes.route("/health", methods=["GET"])
    @routes.route("/api/health", methods=["GET"])
    @needs_no_token
    @routes.response(200)
    def read_health() -> Response:
        """Tell how the service is; 503 when automations cannot run."""
        body = _health(database, files, cadence, started_at)
        response = jsonify(body)
        response.status_code = 503 if body["status"] == "critical" else 200
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Health-Status"] = body["status"]
        return response

    return routes


def _health(
    database: Database, files: AutomationFiles, cadence: CadenceClient, started_at: datetime
) -> dict[str, Any]:
    now = utc_now()
    parts = check_parts({"database": database.ping, "cadence": cadence.ping})
    engines, running = _read_engines(database, now)
    listing = files.list_all()
    expected = sum(_is_scheduled(document) for document in listing.documents)
    scheduled = expected if engines else 0
    return {
        "status": _status(parts, bool(engines), bool(listing.broken)),
        "service": "push-blaster",
        "timestamp": now.isoformat(),
        "uptime": (now - started_at).total_seconds(),
        "automationEngine": {
            "engines": engines,
            "scheduledJobsCount": scheduled,
            "expectedJobsCount": expected,
            "divergence": expected - scheduled,
            "activeExecutionsCount": running,
            "instanceId": engines[0] if engines else None,
        },
        "brokenAutomations": [{"file": b.name, "error": b.error} for b in listing.broken],
        "dependencies": {
            "database": "connected" if parts["database"] == "ok" else parts["database"],
            "cadence": "healthy" if parts["cadence"] == "ok" else parts["cadence"],
        },
        "memoryUsage": {"maxRssKb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss},
    }


def _is_scheduled(document: dict[str, Any]) -> bool:
    return bool(document["isActive"]) and document["status"] in {"active", "scheduled"}


def _status(parts: dict[str, str], has_engine: bool, has_broken: bool) -> str:
    if parts["database"] != "ok" or not has_engine:
        return "critical"
    if parts["cadence"] != "ok" or has_broken:
        return "degraded"
    return "healthy"


def _read_engines(database: Database, now: datetime) -> tuple[list[str], int]:
    try:
        with database.transaction() as connection:
            return select_engines(connection, now - ALIVE_WITHIN), count_running(connection)
    except DatabaseAwayError:
        return [], 0
