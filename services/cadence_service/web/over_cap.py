"""The route that says who got more than the rules allow."""

from typing import Any

from cadence_contract import OVER_CAP_PATH, OverCapQuestionSchema, OverCapSchema
from cadence_service.domain.cadence import Send
from cadence_service.domain.user_ids import read_texts
from cadence_service.use_cases.find_over_cap import find_over_cap
from cadence_service.web.audience import check_size
from chassis.bearer_auth import Role, asks_for
from chassis.postgres import BulkDatabase
from chassis.service import Routes


def over_cap_routes(database: BulkDatabase) -> Routes:
    """Return the route about users over their caps."""
    routes = Routes("over_cap", __name__, description="Who got more than the rules allow")

    @routes.route(OVER_CAP_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(OverCapQuestionSchema)
    @routes.response(200, OverCapSchema)
    def find(body: dict[str, Any]) -> dict[str, Any]:
        """Tell who of the users got a recorded send although others had used up a cap around it."""
        asked = read_texts(body["user_ids"])
        check_size(asked)
        own = Send(body["layer_id"], body["sent_at"])
        with database.transaction() as connection:
            found = find_over_cap(connection, asked.users, own)
        return {
            "rules_version": found.rules_version,
            "users": found.users,
            "by_rule": {rule: list(map(str, users)) for rule, users in found.by_rule.items()},
            "fail_open_reason": found.fault,
        }

    return routes
