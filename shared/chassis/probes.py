"""The probes of a process: is it alive, is it ready, what are its metrics."""

from collections.abc import Callable, Iterable, Mapping

from flask import Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST

from chassis.bearer_auth import answer_in_a_word, needs_no_token, tells_callers_more
from chassis.health import Ping, Questions
from chassis.http.request_classes import RequestClass, of_class
from chassis.metrics import Gauge, write_metrics
from chassis.service import Routes


def probe_routes(
    needed: Mapping[str, Ping], read_gauges: Callable[[], Iterable[Gauge]], *, metrics_open: bool
) -> Routes:
    """Return the routes for supervisors, load balancers and monitoring.

    Shape: `needed` has the pings of the parts that every request needs; `read_gauges` returns the
    present figures of the service.
    """
    routes = Routes("probes", __name__, description="What machines ask")
    parts = Questions(needed)

    @routes.route("/health/live", methods=["GET"])
    @needs_no_token
    def read_live() -> Response:
        """Answer that this process is alive; without an answer, restart it."""
        return jsonify({"status": "alive"})

    @routes.route("/health/ready", methods=["GET"])
    @tells_callers_more
    @routes.answers(503)
    def read_ready() -> Response:
        """Answer whether the process can serve requests; 503 while it cannot.

        The parts, and what is wrong with each, are only for a caller with a token.
        """
        found = parts.ask()
        body = {
            "status": "unready" if found.faults else "ready",
            "parts": found.states,
            "remarks": found.remarks,
        }
        return answer_in_a_word(body, 503 if found.faults else 200)

    @routes.answers(content_type="text/plain")
    def read_metrics() -> Response:
        """Answer the metrics of this service for Prometheus."""
        return Response(write_metrics(read_gauges()), content_type=CONTENT_TYPE_LATEST)

    of_class(RequestClass.OPEN)(read_metrics)
    view = needs_no_token(read_metrics) if metrics_open else read_metrics
    routes.route("/metrics", methods=["GET"])(view)
    return routes
