"""What machines ask a process: does it live, is it ready, what has it counted."""

from collections.abc import Callable, Iterable, Mapping

from flask import Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST

from chassis.bearer_auth import needs_no_token
from chassis.health import Ping, check_parts
from chassis.metrics import Gauge, write_metrics
from chassis.service import Routes


def probe_routes(
    needed: Mapping[str, Ping], read_gauges: Callable[[], Iterable[Gauge]], *, metrics_open: bool
) -> Routes:
    """Return the routes for whoever restarts a process, sends it requests, or watches it.

    Shape: `needed` is what every request needs; `read_gauges` is what the service knows.
    """
    routes = Routes("probes", __name__, description="What machines ask")

    @routes.route("/health/live", methods=["GET"])
    @needs_no_token
    @routes.answers()
    def read_live() -> Response:
        """Tell that this process answers; if it does not, restart it."""
        return jsonify({"status": "alive"})

    @routes.route("/health/ready", methods=["GET"])
    @needs_no_token
    @routes.answers()
    @routes.answers(503)
    def read_ready() -> Response:
        """Tell whether what every request needs is there; 503 while it is not."""
        found = check_parts(needed)
        is_ready = all(state == "ok" for state in found.values())
        response = jsonify({"status": "ready" if is_ready else "unready", "parts": found})
        response.status_code = 200 if is_ready else 503
        return response

    @routes.answers(content_type="text/plain")
    def read_metrics() -> Response:
        """Tell Prometheus what this service counts and knows."""
        return Response(write_metrics(read_gauges()), content_type=CONTENT_TYPE_LATEST)

    view = needs_no_token(read_metrics) if metrics_open else read_metrics
    routes.route("/metrics", methods=["GET"])(view)
    return routes
