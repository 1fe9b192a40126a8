"""Routes about reservations: what was decided, hold longer, give back."""

import csv
from datetime import timedelta
from io import StringIO
from typing import Any

from flask import Response, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from cadence_contract import (
    EXTEND_RESERVATION_PATH,
    RESERVATIONS_PATH,
    HeldSchema,
    ReservationSchema,
    ReservationWishSchema,
)
from cadence_service.adapters.exclusion_table import Exclusion, select_exclusions
from cadence_service.adapters.reservation_table import Reservation, count_eligible
from cadence_service.use_cases.settle_reservation import (
    find_reservation,
    hold_longer,
    release_reservation,
)
from cadence_service.web.audience import show_exclusion
from chassis.bearer_auth import Role, asks_for
from chassis.postgres import BulkDatabase
from chassis.schemas import CamelSchema
from chassis.service import Routes

#: Keys may hold slashes, so they end a path, and come after what is to be done.
ONE = f"{RESERVATIONS_PATH}/<path:key>"


class ReleasedSchema(CamelSchema):
    """How many slots were given back."""

    released = fields.Integer()


def reservation_routes(database: BulkDatabase) -> Routes:
    """Return the routes about reservations."""
    routes = Routes("reservations", __name__, description="Slots taken before the send")

    @routes.route(ONE, methods=["GET"])
    @routes.alt_response(200, schema=ReservationSchema)
    def read_one(key: str) -> ResponseReturnValue:
        """Tell what was decided under this key, and for whom why; as text/csv too."""
        with database.transaction() as connection:
            reservation = find_reservation(connection, key)
            eligible = count_eligible(connection, reservation.id)
            exclusions = select_exclusions(connection, reservation.id)
        if request.accept_mimetypes.best == "text/csv":
            return Response(_table(exclusions), mimetype="text/csv")
        return _show(reservation, eligible, exclusions)

    @routes.route(ONE, methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @routes.response(200, ReleasedSchema)
    def release(key: str) -> dict[str, int]:
        """Give back every slot that is still held under this key."""
        with database.transaction() as connection:
            return {"released": release_reservation(connection, key)}

    @routes.route(EXTEND_RESERVATION_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(ReservationWishSchema)
    @routes.response(200, HeldSchema)
    def extend(body: dict[str, Any]) -> dict[str, Any]:
        """Hold the slots for longer, while a long send runs."""
        ttl = timedelta(seconds=body["ttl_seconds"])
        with database.transaction() as connection:
            held = hold_longer(connection, body["key"], ttl)
        return {"key": held.key, "expires_at": held.expires_at}

    return routes


def _show(reservation: Reservation, eligible: int, exclusions: list[Exclusion]) -> dict[str, Any]:
    return {
        "key": reservation.key,
        "layerId": reservation.layer_id,
        "scheduledFor": reservation.scheduled_for.isoformat(),
        "rulesVersion": reservation.rule_set,
        "state": reservation.state,
        "createdAt": reservation.created_at.isoformat(),
        "expiresAt": reservation.expires_at.isoformat(),
        "eligibleCount": eligible,
        "excluded": [show_exclusion(str(e.user_id), e) for e in exclusions],
    }


def _table(exclusions: list[Exclusion]) -> str:
    text = StringIO()
    table = csv.writer(text)
    table.writerow(["userId", "rule", "countedSends", "nextEligibleAt"])
    for exclusion in exclusions:
        shown = show_exclusion(str(exclusion.user_id), exclusion)
        sends = " ".join(shown["countedSends"])
        table.writerow([shown["userId"], shown["rule"], sends, shown["nextEligibleAt"]])
    return text.getvalue()
