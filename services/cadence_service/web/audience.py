"""The route that says whom a push may go to: ids as JSON, or as bytes."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final

import numpy as np
from flask import jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from cadence_contract import (
    FILTER_AUDIENCE_PATH,
    INVALID_UUID,
    MAX_IDS,
    CompactFilterSchema,
    FilterAudienceSchema,
    FilteredAudienceSchema,
)
from cadence_service.adapters.exclusion_table import Exclusion
from cadence_service.domain.user_ids import AskedIds, read_bytes, read_texts
from cadence_service.use_cases.filter_audience import FilteredAudience, Question, filter_audience
from cadence_service.use_cases.reserve_audience import Wish, reserve_audience
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.service import Routes

#: Ids as 16 bytes each, one after the other.
OCTETS: Final = "application/octet-stream"
_BODY_DOC: Final = {
    "content": {
        "application/json": {"schema": FilterAudienceSchema},
        OCTETS: {"schema": {"type": "string", "format": "binary"}},
    }
}


def audience_routes(database: BulkDatabase) -> Routes:
    """Return the route that filters an audience."""
    routes = Routes("audience", __name__, description="Whom a push may go to")

    def ask(asked: AskedIds, told: dict[str, Any]) -> FilteredAudience:
        check_size(asked)
        at = told["scheduled_for"] or utc_now()
        question = Question(asked, told["layer_id"], at, told.get("explain", False))
        wish = told["reservation"]
        if wish is None:
            return filter_audience(database, question)
        ttl = timedelta(seconds=wish["ttl_seconds"])
        return reserve_audience(database, question, Wish(wish["key"], ttl))

    def post_octets() -> ResponseReturnValue:
        told = CompactFilterSchema().load(request.args.to_dict())
        try:
            asked = read_bytes(request.get_data())
        except ValueError as error:
            raise ValidationError({"body": [str(error)]}) from error
        if not len(asked.users):
            raise ValidationError({"body": ["Send at least one user id of 16 bytes."]})
        return jsonify(_answer_positions(ask(asked, told)))

    @routes.route(FILTER_AUDIENCE_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.doc(requestBody=_BODY_DOC)
    @_or_octets(post_octets)
    @routes.arguments(FilterAudienceSchema)
    @routes.alt_response(200, schema=FilteredAudienceSchema)
    def post_filter(body: dict[str, Any]) -> ResponseReturnValue:
        """Filter an audience by the cadence rules; if they cannot be read, all pass.

        Ids may come as application/octet-stream too, 16 bytes each, with `layerId`,
        `scheduledFor`, `reservationKey` and `ttlSeconds` in the query. The answer then names the
        positions that are held back.
        """
        filtered = ask(read_texts(body["user_ids"]), body)
        return jsonify(_answer_texts(filtered, explain=body["explain"]))

    return routes


def check_size(asked: AskedIds) -> None:
    """Refuse more ids than one request may hold."""
    if asked.count > MAX_IDS:
        raise RequestEntityTooLarge(f"userIds: at most {MAX_IDS} ids a request.")


def show_exclusion(user_id: str, exclusion: Exclusion) -> dict[str, Any]:
    """Return why a user was held back, as it is told on the wire."""
    return {
        "userId": user_id,
        "rule": exclusion.rule,
        "countedSends": [instant.isoformat() for instant in exclusion.counted_sends],
        "nextEligibleAt": exclusion.next_eligible_at.isoformat(),
    }


_View = Callable[..., ResponseReturnValue]


def _or_octets(post_octets: _View) -> Callable[[_View], _View]:
    """Hand bodies of bytes to `post_octets`, and all others to the view."""

    def choose(view: _View) -> _View:
        @wraps(view)
        def post(*args: Any, **kwargs: Any) -> ResponseReturnValue:
            if request.mimetype == OCTETS:
                return post_octets()
            return view(*args, **kwargs)

        return post

    return choose


def _answer(filtered: FilteredAudience) -> dict[str, Any]:
    breakdown = {**filtered.breakdown, INVALID_UUID: len(filtered.asked.invalid)}
    answer: dict[str, Any] = {
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
    return answer


def _answer_texts(filtered: FilteredAudience, *, explain: bool) -> dict[str, Any]:
    answer = {"eligibleUserIds": filtered.eligible, **_answer(filtered)}
    if explain:
        texts, positions = filtered.asked.texts, filtered.asked.users.positions
        answer["excluded"] = [
            show_exclusion(texts[positions[index]], exclusion)
            for index, exclusion in filtered.exclusions.items()
        ]
    return answer


def _answer_positions(filtered: FilteredAudience) -> dict[str, Any]:
    """Return the answer about bytes: positions in the body, counted from 0."""
    positions = filtered.asked.users.positions
    return {
        **_answer(filtered),
        "eligibleCount": len(positions) - sum(filtered.breakdown.values()),
        "excludedPositions": {
            rule: np.sort(positions[indexes]) for rule, indexes in filtered.held_back.items()
        },
        "duplicatePositions": filtered.asked.find_repeated(),
    }
