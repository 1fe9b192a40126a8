"""The route that tells how cadence stands with one user."""

from typing import Any
from uuid import UUID

from marshmallow import fields

from cadence_contract import ExcludedUserSchema, InstantField
from cadence_service.use_cases.explain_user import LayerStanding, explain_user
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.schemas import CamelSchema
from chassis.service import Routes


class CadenceQuerySchema(CamelSchema):
    """Query of GET /users/<id>/cadence."""

    at = InstantField(load_default=None, metadata={"description": "default: now"})


class LayerStandingSchema(ExcludedUserSchema):
    """Whether the user may get a push on a layer; if not, why and until when."""

    class Meta:
        exclude = ("user_id",)

    layer_id = fields.Integer()
    eligible = fields.Boolean()
    rule = fields.String(allow_none=True)
    fail_open_reason = fields.String(allow_none=True)


class StandingSchema(CamelSchema):
    """How cadence stands with one user, layer by layer."""

    user_id = fields.UUID()
    at = InstantField()
    layers = fields.List(fields.Nested(LayerStandingSchema))


def user_routes(database: BulkDatabase) -> Routes:
    """Return the route about one user."""
    routes = Routes("users", __name__, description="How cadence stands with one user")

    @routes.route("/users/<uuid:user_id>/cadence", methods=["GET"])
    @routes.arguments(CadenceQuerySchema, location="query")
    @routes.response(200, StandingSchema)
    def read_cadence(query: dict[str, Any], user_id: UUID) -> dict[str, Any]:
        """Tell, for each layer, whether the user may get a push, or why not and until when."""
        at = query["at"] or utc_now()
        with database.transaction() as connection:
            standings = explain_user(connection, user_id, at)
        return {"user_id": user_id, "at": at, "layers": [_show(one) for one in standings]}

    return routes


def _show(standing: LayerStanding) -> dict[str, Any]:
    exclusion = standing.exclusion
    return {
        "layer_id": standing.layer_id,
        "eligible": exclusion is None,
        "rule": exclusion.rule if exclusion else None,
        "counted_sends": exclusion.counted_sends if exclusion else (),
        "next_eligible_at": exclusion.next_eligible_at if exclusion else None,
        "fail_open_reason": standing.fault,
    }
