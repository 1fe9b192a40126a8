"""The route that says whom a push may go to."""

from typing import Any

from flask import jsonify
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from cadence_contract import (
    FILTER_AUDIENCE_PATH,
    INVALID_UUID,
    MAX_IDS,
    FilterAudienceSchema,
    FilteredAudienceSchema,
)
from cadence_service.use_cases.filter_audience import FilteredAudience, Question, filter_audience
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes


def audience_routes(database: Database) -> Routes:
    """Return the route that filters an audience."""
    routes = Routes("audience", __name__, description="Whom a push may go to")

    @routes.route(FILTER_AUDIENCE_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(FilterAudienceSchema)
    @routes.alt_response(200, schema=FilteredAudienceSchema)
    def post_filter(body: dict[str, Any]) -> ResponseReturnValue:
        """Filter an audience by the cadence rules; if they cannot be read, all pass."""
        if len(body["user_ids"]) > MAX_IDS:
            raise RequestEntityTooLarge(f"userIds: at most {MAX_IDS} ids a request.")
        at = body["scheduled_for"] or utc_now()
        question = Question(body["user_ids"], body["layer_id"], at, body["explain"])
        return jsonify(_answer(filter_audience(database, question), explain=body["explain"]))

    return routes


def _answer(filtered: FilteredAudience, *, explain: bool) -> dict[str, Any]:
    breakdown = {**filtered.breakdown, INVALID_UUID: filtered.invalid}
    answer: dict[str, Any] = {
        "eligibleUserIds": filtered.eligible,
        "excludedCount": sum(breakdown.values()),
        "exclusionBreakdown": breakdown,
        "failedOpen": filtered.fail_open_reason is not None,
    }
    if filtered.fail_open_reason is not None:
        answer["failOpenReason"] = filtered.fail_open_reason
    if explain:
        answer["excluded"] = [
            {
                "userId": held.user_id,
                "rule": held.rule,
                "countedSends": [instant.isoformat() for instant in held.counted],
                "nextEligibleAt": held.next_eligible_at and held.next_eligible_at.isoformat(),
            }
            for held in filtered.held_back
        ]
    return answer
