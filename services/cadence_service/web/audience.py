"""The route that says whom a push may go to."""

from datetime import timedelta
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
from cadence_service.adapters.reservation_table import Exclusion
from cadence_service.use_cases.filter_audience import FilteredAudience, Question, filter_audience
from cadence_service.use_cases.reserve_audience import Wish, reserve_audience
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
        wish = body["reservation"]
        if wish is None:
            filtered = filter_audience(database, question)
        else:
            ttl = timedelta(seconds=wish["ttl_seconds"])
            filtered = reserve_audience(database, question, Wish(wish["key"], ttl))
        return jsonify(_answer(filtered, explain=body["explain"]))

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
    if filtered.reservation is not None:
        answer["reservation"] = {
            "key": filtered.reservation.key,
            "expiresAt": filtered.reservation.expires_at.isoformat(),
        }
    if explain:
        answer["excluded"] = [
            show_exclusion(user_id, exclusion) for user_id, exclusion in filtered.exclusions.items()
        ]
    return answer


def show_exclusion(user_id: str, exclusion: Exclusion) -> dict[str, Any]:
    """Return why a user was held back, as it is told on the wire."""
    return {
        "userId": user_id,
        "rule": exclusion.rule,
        "countedSends": [instant.isoformat() for instant in exclusion.counted_sends],
        "nextEligibleAt": exclusion.next_eligible_at.isoformat(),
    }
