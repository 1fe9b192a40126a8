"""The route by which a backend reports what users did after a push, or without one."""

from typing import Final

from marshmallow import fields, validate

from chassis.bearer_auth import Role, asks_for, for_apps
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import answer_schema, object_schema
from push_blaster.domain.engagement.conversion import MAX_VALUE
from push_blaster.domain.engagement.event import MAX_NAME
from push_blaster.use_cases.engagement.take_conversions import TakenConversions, take_conversions
from push_blaster.web.engagement.reports import count_report, describe_report, read_report

MAX_CONVERSIONS: Final = 1_000
_KINDS: Final = ("application/json",)
_NAME: Final = validate.Length(min=1, max=MAX_NAME)

_ConversionSchema = object_schema(
    "Conversion",
    user_id=fields.UUID(required=True),
    goal=fields.String(required=True, validate=_NAME),
    key=fields.String(
        required=True,
        validate=_NAME,
        metadata={"description": "The same key is the same conversion, and counts once."},
    ),
    value=fields.Float(validate=validate.Range(min=0, max=int(MAX_VALUE))),
    at=fields.AwareDateTime(metadata={"description": "When it was; without it, now."}),
)


def conversion_routes(database: Database) -> Routes:
    """Return the route."""
    routes = Routes("conversions", __name__, description="What users did after pushes")

    @routes.route("/api/conversions", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @for_apps(users=False, audited=False)
    @routes.doc(
        requestBody=describe_report("conversions", _ConversionSchema, MAX_CONVERSIONS, _KINDS)
    )
    @routes.response(202, answer_schema(TakenConversions))
    def report() -> TakenConversions:
        """Report conversions; each key counts once, however often it is sent.

        A conversion counts for each automation with its goal that offered the user a turn within
        the hours of the goal before it. What is refused is listed by its place in the request.
        """
        items = read_report("conversions", MAX_CONVERSIONS, _KINDS)
        taken = take_conversions(database, items, utc_now())
        count_report("conversion", taken.accepted, 0, taken.problems)
        return taken

    return routes
