"""The route that answers who got more pushes than the rules allow."""

from datetime import datetime

from cadence_contract import OVER_CAP_PATH, OverCapQuestionSchema, OverCapSchema
from cadence_service.domain.cadence import Send
from cadence_service.domain.user_ids import read_texts
from cadence_service.use_cases.find_over_cap import OverCap, find_over_cap
from cadence_service.web.audience import check_size
from chassis.bearer_auth import Role, asks_for
from chassis.postgres import BulkDatabase
from chassis.service import Routes


def over_cap_routes(database: BulkDatabase) -> Routes:
    """Return the route about users over their caps."""
    routes = Routes("over_cap", __name__, description="Who got more than the rules allow")

    @routes.route(OVER_CAP_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(OverCapQuestionSchema, as_kwargs=True)
    @routes.response(200, OverCapSchema)
    def find_users(user_ids: list[str], layer_id: int, sent_at: datetime) -> OverCap:
        """Answer which users got a recorded send although other sends had used up a cap."""
        asked = read_texts(user_ids)
        check_size(asked)
        with database.transaction() as connection:
            return find_over_cap(connection, asked.users, Send(layer_id, sent_at))

    return routes
