"""The route that explains the caps of one user."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from marshmallow import fields

from cadence_contract import ExcludedUserSchema, InstantField
from cadence_service.use_cases.explain_user import LayerEligibility, explain_user
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.schemas import CamelSchema
from chassis.service import Routes


class CadenceQuerySchema(CamelSchema):
    """Query of GET /users/<id>/cadence."""

    at = InstantField(load_default=None, metadata={"description": "default: now"})


class LayerEligibilitySchema(ExcludedUserSchema):
    """Whether the user may get a push on a layer; if not, why and until when."""

    class Meta:
        exclude = ("user_id",)

    layer_id = fields.Integer()
    eligible = fields.Boolean()
    rule = fields.String(allow_none=True)
    fail_open_reason = fields.String(allow_none=True)


class UserCadenceSchema(CamelSchema):
    """Whether one user may get a push, layer by layer."""

    user_id = fields.UUID()
    at = InstantField()
    layers = fields.List(fields.Nested(LayerEligibilitySchema))


@dataclass(frozen=True, slots=True)
class UserCadence:
    """What UserCadenceSchema shows."""

    user_id: UUID
    at: datetime
    layers: list[LayerEligibility]


def user_routes(database: BulkDatabase) -> Routes:
    """Return the route about one user."""
    routes = Routes("users", __name__, description="How cadence stands with one user")

    @routes.route("/users/<uuid:user_id>/cadence", methods=["GET"])
    @routes.arguments(CadenceQuerySchema, location="query", as_kwargs=True)
    @routes.response(200, UserCadenceSchema)
    def read_cadence(user_id: UUID, at: datetime | None) -> UserCadence:
        """Answer for each layer whether the user may get a push; if not, why and until when."""
        at = at or utc_now()
        with database.transaction() as connection:
            return UserCadence(user_id, at, explain_user(connection, user_id, at))

    return routes
