"""The route by which apps and pages report what users did with a push; it needs no token."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from flask import Response, request
from marshmallow import fields, validate

from chassis.bearer_auth import needs_no_token
from chassis.clock import utc_now
from chassis.http.bodies import takes_of_strangers
from chassis.http.guesses import refuse_excess
from chassis.http.rate_limits import Limit, RateLimiter, network_of
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, object_schema
from push_blaster.domain.devices.opt_out import Scope
from push_blaster.domain.engagement.event import MAX_EVENTS, MAX_NAME, EventKind
from push_blaster.domain.engagement.receipt import Receipt
from push_blaster.use_cases.engagement.take_events import TakenEvents, take_events
from push_blaster.web.access.audit import only_reads
from push_blaster.web.engagement.reports import count_report, describe_report, read_report

MAX_EVENTS_BODY: Final = 32 * 1024
#: Types of bodies; a browser's sendBeacon sends a text as text/plain.
_KINDS: Final = ("application/json", "text/plain")
#: Headers by which a browser says that nobody sees the page yet.
_PREFETCHES: Final = ("Sec-Purpose", "Purpose", "X-Moz")
#: What a page of another origin may do here: report, and read the answer.
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Expose-Headers": "Retry-After",
    "Access-Control-Max-Age": "86400",
}

_EventSchema = object_schema(
    "Event",
    receipt=fields.String(required=True, metadata={"description": "From the message's data."}),
    event=fields.Enum(EventKind, by_value=True, required=True),
    action=fields.String(
        validate=validate.Length(max=MAX_NAME),
        metadata={"description": "Which button; only of the event `action`."},
    ),
    scope=fields.Enum(
        Scope,
        by_value=True,
        metadata={
            "description": "Which pushes the user does not want, only of the event `opted_out`; "
            "without it, those of this automation, or of a one-off push those of its layer."
        },
    ),
    at=fields.AwareDateTime(
        metadata={"description": "When it was; it is clamped between the send and now."}
    ),
)


def event_routes(
    database: Database, read_receipt: Callable[[str], Receipt], per_minute: int
) -> Routes:
    """Return the route; an address may report `per_minute` events a minute."""
    routes = Routes("events", __name__, description="What users did with pushes")
    limiter = RateLimiter(Limit(per_minute, timedelta(minutes=1)))

    @routes.after_request
    def open_to_pages(response: Response) -> Response:
        response.headers.update(_CORS)
        return response

    @routes.route("/api/events", methods=["POST"])
    @needs_no_token
    @only_reads
    @of_class(RequestClass.REPORT)
    @takes_of_strangers(MAX_EVENTS_BODY)
    @routes.doc(
        requestBody=describe_report("events", _EventSchema, MAX_EVENTS, _KINDS), security=[]
    )
    @routes.response(202, answer_schema(TakenEvents))
    def report() -> TakenEvents:
        """Report what users did with pushes; needs no token, and is safe to repeat.

        A page may call it from any origin, by navigator.sendBeacon too. What is refused is listed
        by its place in the request. What is accepted is counted within seconds; the event
        `opted_out` opts the user out at once.
        """
        _limit(limiter, 1)
        items = read_report("events", MAX_EVENTS, _KINDS)
        _limit(limiter, len(items) - 1)
        is_seen = not any("prefetch" in request.headers.get(name, "") for name in _PREFETCHES)
        taken = take_events(database, read_receipt, items, utc_now(), counts=is_seen)
        count_report("event", taken.accepted, taken.not_counted, taken.problems)
        return taken

    return routes


def _limit(limiter: RateLimiter, events: int) -> None:
    usage = limiter.take(network_of(request.remote_addr), time.monotonic(), events)
    refuse_excess(usage, "Too many events came from this address. Send these again later.")
