"""The health of the cadence service."""

import resource
from typing import Any

from flask import Response

from cadence_contract import HEALTH_PATH, SERVICE_NAME
from chassis.bearer_auth import answer_in_a_word, tells_callers_more
from chassis.clock import utc_now
from chassis.health import Questions
from chassis.postgres import BulkDatabase
from chassis.schema_changes import find_lock_waits
from chassis.service import Routes


def health_routes(database: BulkDatabase) -> Routes:
    """Return the route that shows how the service is; to a stranger, in a word."""
    routes = Routes("health", __name__, description="Health")

    def read_lock_waits() -> str | None:
        with database.transaction() as connection:
            waits = find_lock_waits(connection)
        return str(waits) if waits else None

    parts = Questions({"database": database.ping, "locks": read_lock_waits})

    @routes.route(HEALTH_PATH, methods=["GET"])
    @tells_callers_more
    @routes.answers(503)
    def read_health() -> Response:
        """Show the health of the service; 503 while its database is away or not migrated.

        A stranger gets only `status`; the rest is for a caller with a token.
        """
        answers = parts.ask()
        state = answers.states["database"]
        is_healthy = state == "ok"
        body: dict[str, Any] = {
            "status": "healthy" if is_healthy else "degraded",
            "service": SERVICE_NAME,
            "timestamp": utc_now().isoformat(),
            "database": "connected" if is_healthy else "error",
            "remarks": answers.remarks,
            "memoryUsage": {"maxRssKb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss},
        }
        if not is_healthy:
            body |= {"message": "Filters fail open until it is back.", "error": state}
        response = answer_in_a_word(body, 200 if is_healthy else 503)
        response.headers["X-Health-Status"] = body["status"]
        return response

    return routes
