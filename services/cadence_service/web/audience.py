"""The route that answers which users a push may go to: ids as JSON, or as bytes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final

import numpy as np
from flask import Response, jsonify, request
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
from cadence_service.use_cases.reserve_audience import ReservationRequest, reserve_audience
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
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
    routes = Routes("audience", __name__, description="Users who may get a push")

    def post_octets() -> ResponseReturnValue:
        question = CompactFilterSchema().load(request.args.to_dict())
        try:
            asked = read_bytes(request.get_data())
        except ValueError as error:
            raise ValidationError({"body": [str(error)]}) from error
        if not len(asked.users):
            raise ValidationError({"body": ["Send at least one user id of 16 bytes."]})
        return _answer_positions(_ask(database, asked, explain=False, **question))

    @routes.route(FILTER_AUDIENCE_PATH, methods=["POST"])
    @of_class(RequestClass.CHECK)
    @asks_for(Role.OPERATOR)
    @routes.doc(requestBody=_BODY_DOC)
    @_or_octets(post_octets)
    @routes.arguments(FilterAudienceSchema, as_kwargs=True)
    @routes.alt_response(200, schema=FilteredAudienceSchema)
    def post_filter(*, user_ids: list[str], explain: bool, **question: Any) -> ResponseReturnValue:
        """Filter an audience by the cadence rules; if they cannot be read, all pass.

        Ids may come as application/octet-stream too, 16 bytes each, with `layerId`,
        `scheduledFor`, `reservationKey` and `ttlSeconds` in the query. The answer then names the
        positions of the capped users.
        """
        asked = read_texts(user_ids)
        return _answer_texts(_ask(database, asked, explain=explain, **question), explain=explain)

    return routes


def check_size(asked: AskedIds) -> None:
    """Refuse more ids than one request may hold."""
    if asked.count > MAX_IDS:
        raise RequestEntityTooLarge(f"userIds: at most {MAX_IDS} ids a request.")


def show_exclusion(user_id: str, exclusion: Exclusion) -> dict[str, str | list[str]]:
    """Return why a user is capped, as JSON."""
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


def _ask(
    database: BulkDatabase,
    asked: AskedIds,
    *,
    explain: bool,
    layer_id: int,
    scheduled_for: datetime | None,
    reservation: Any,
) -> FilteredAudience:
    """Filter the audience, and reserve slots if a loaded ReservationRequestSchema asks for them."""
    check_size(asked)
    question = Question(asked, layer_id, scheduled_for or utc_now(), explain)
    if reservation is None:
        return filter_audience(database, question)
    ttl = timedelta(seconds=reservation["ttl_seconds"])
    wanted = ReservationRequest(reservation["key"], ttl, scheduled_for)
    return reserve_audience(database, question, wanted)


def _answer(filtered: FilteredAudience, **more: object) -> Response:
    breakdown = {**filtered.breakdown, INVALID_UUID: len(filtered.asked.invalid)}
    if filtered.fail_open_reason is not None:
        more["failOpenReason"] = filtered.fail_open_reason
    if filtered.reservation is not None:
        more["reservation"] = {
            "key": filtered.reservation.key,
            "expiresAt": filtered.reservation.expires_at.isoformat(),
        }
    return jsonify(
        excludedCount=sum(breakdown.values()),
        exclusionBreakdown=breakdown,
        failedOpen=filtered.fail_open_reason is not None,
        **more,
    )


def _answer_texts(filtered: FilteredAudience, *, explain: bool) -> Response:
    if not explain:
        return _answer(filtered, eligibleUserIds=filtered.eligible)
    texts, positions = filtered.asked.texts, filtered.asked.users.positions
    excluded = [
        show_exclusion(texts[positions[index]], exclusion)
        for index, exclusion in filtered.exclusions.items()
    ]
    return _answer(filtered, eligibleUserIds=filtered.eligible, excluded=excluded)


def _answer_positions(filtered: FilteredAudience) -> Response:
    """Answer a body of bytes: by positions in it, counted from 0."""
    positions = filtered.asked.users.positions
    return _answer(
        filtered,
        eligibleCount=len(positions) - sum(filtered.breakdown.values()),
        excludedPositions={
            rule: np.sort(positions[indexes]) for rule, indexes in filtered.capped.items()
        },
        duplicatePositions=filtered.asked.find_repeated(),
    )
