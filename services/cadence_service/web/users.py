"""The route that explains the caps of one user."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cadence_contract import InstantField
from cadence_service.use_cases.explain_user import LayerEligibility, explain_user
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema


@dataclass(frozen=True, slots=True)
class UserCadence:
    """Whether one user may get a push, layer by layer."""

    user_id: UUID
    at: datetime
    layers: list[LayerEligibility]


def user_routes(database: BulkDatabase) -> Routes:
    """Return the route about one user."""
    routes = Routes("users", __name__, description="The caps of one user")

    @routes.route("/users/<uuid:user_id>/cadence", methods=["GET"])
    @routes.query
    @routes.response(200, answer_schema(UserCadence))
    def read_cadence(
        user_id: UUID,
        *,
        at: datetime | None = about(None, like=InstantField, description="default: now"),
    ) -> UserCadence:
        """Answer for each layer whether the user may get a push; if not, why and until when."""
        at = at or utc_now()
        with database.transaction() as connection:
            return UserCadence(user_id, at, explain_user(connection, user_id, at))

    return routes
