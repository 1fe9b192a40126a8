"""Routes about reservations: read what was decided, extend one, release one."""

import csv
from datetime import timedelta
from io import StringIO

from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue

from cadence_contract import (
    EXTEND_RESERVATION_PATH,
    RESERVATIONS_PATH,
    ReservationRequestSchema,
    ReservationSchema,
    ReservedSlotsSchema,
)
from cadence_service.adapters.exclusion_table import Exclusion, select_exclusions
from cadence_service.adapters.reservation_table import Reservation, count_eligible
from cadence_service.use_cases.settle_reservation import (
    extend_reservation,
    find_reservation,
    release_reservation,
)
from cadence_service.web.audience import show_exclusion
from chassis.bearer_auth import Role, asks_for
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import BulkDatabase
from chassis.service import Routes
from chassis.typed_schemas import object_schema

#: Keys may hold slashes, so they end a path, and come after what is to be done.
ONE = f"{RESERVATIONS_PATH}/<path:key>"


def reservation_routes(database: BulkDatabase) -> Routes:
    """Return the routes about reservations."""
    routes = Routes("reservations", __name__, description="Slots taken before the send")

    @routes.route(ONE, methods=["GET"])
    @routes.alt_response(200, schema=ReservationSchema)
    def read_one(key: str) -> ResponseReturnValue:
        """Read the decision under this key, and why users were capped; as text/csv too."""
        with database.transaction() as connection:
            reservation = find_reservation(connection, key)
            eligible = count_eligible(connection, reservation.id) or 0
            exclusions = select_exclusions(connection, reservation.id)
        if request.accept_mimetypes.best == "text/csv":
            return Response(_write_csv(exclusions), mimetype="text/csv")
        return _answer_reservation(reservation, eligible, exclusions)

    @routes.route(ONE, methods=["DELETE"])
    @of_class(RequestClass.CHECK)
    @asks_for(Role.OPERATOR)
    @routes.response(200, object_schema("Released", released=int))
    def release(key: str) -> dict[str, int]:
        """Release every slot that is still reserved under this key."""
        with database.transaction() as connection:
            return {"released": release_reservation(connection, key)}

    @routes.route(EXTEND_RESERVATION_PATH, methods=["POST"])
    @of_class(RequestClass.CHECK)
    @asks_for(Role.OPERATOR)
    @routes.arguments(ReservationRequestSchema, as_kwargs=True)
    @routes.response(200, ReservedSlotsSchema)
    def extend(key: str, ttl_seconds: float) -> Reservation:
        """Keep the slots for longer, while a long send runs."""
        with database.transaction() as connection:
            return extend_reservation(connection, key, timedelta(seconds=ttl_seconds))

    return routes


def _answer_reservation(
    reservation: Reservation, eligible: int, exclusions: list[Exclusion]
) -> Response:
    return jsonify(
        key=reservation.key,
        layerId=reservation.layer_id,
        scheduledFor=reservation.scheduled_for.isoformat(),
        rulesVersion=reservation.rule_set,
        state=reservation.state,
        createdAt=reservation.created_at.isoformat(),
        expiresAt=reservation.expires_at.isoformat(),
        eligibleCount=eligible,
        excluded=[show_exclusion(str(e.user_id), e) for e in exclusions],
    )


def _write_csv(exclusions: list[Exclusion]) -> str:
    text = StringIO()
    table = csv.writer(text)
    table.writerow(["userId", "rule", "countedSends", "nextEligibleAt"])
    for exclusion in exclusions:
        sends = " ".join(instant.isoformat() for instant in exclusion.counted_sends)
        until = exclusion.next_eligible_at.isoformat()
        table.writerow([exclusion.user_id, exclusion.rule, sends, until])
    return text.getvalue()
