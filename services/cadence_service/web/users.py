"""The routes about one user: the caps, and all that is known of the user."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from marshmallow import ValidationError, validate

from cadence_contract import (
    EARLIEST,
    LATEST,
    MAX_HISTORY,
    USER_HISTORY_PATH,
    HistoryPlace,
    InstantField,
    UserHistorySchema,
)
from cadence_service.adapters.user_history import HistoryWindow, select_user_history
from cadence_service.use_cases.erase_history import erase_history
from cadence_service.use_cases.explain_user import LayerEligibility, explain_user
from chassis.bearer_auth import caller_name
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.schemas import check_period
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema


@dataclass(frozen=True, slots=True)
class UserCadence:
    """Whether one user may get a push, layer by layer."""

    user_id: UUID
    at: datetime
    layers: list[LayerEligibility]


def user_routes(database: BulkDatabase) -> Routes:
    """Return the routes about one user."""
    routes = Routes("users", __name__, description="The caps and the history of one user")

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

    @routes.route(USER_HISTORY_PATH.format("<uuid:user_id>"), methods=["GET"])
    @routes.query
    @routes.response(200, UserHistorySchema)
    def read_history(
        user_id: UUID,
        *,
        since: datetime = about(EARLIEST, like=InstantField, data_key="from"),
        until: datetime = about(LATEST, like=InstantField, description="not included"),
        cursor: str | None = None,
        limit: int = about(100, validate=validate.Range(min=1, max=MAX_HISTORY)),
    ) -> dict[str, object]:
        """List all that is known of a user, newest first: notifications, slots, exclusions."""
        check_period(since, until)
        before = _read_place(cursor) if cursor else None
        window = HistoryWindow(since=since, until=until, before=before, limit=limit)
        with database.transaction() as connection:
            found = select_user_history(connection, user_id, window)
        last = HistoryPlace(found[-1].at, found[-1].id) if len(found) == limit else None
        return {"entries": found, "next_cursor": str(last) if last else None}

    @routes.route(USER_HISTORY_PATH.format("<uuid:user_id>"), methods=["DELETE"])
    @routes.response(200, object_schema("ErasedHistory", deleted=int))
    def erase(user_id: UUID) -> dict[str, int]:
        """Erase all that is known of a user, for good; safe to repeat."""
        return {"deleted": erase_history(database, user_id, caller_name(), utc_now())}

    return routes


def _read_place(cursor: str) -> HistoryPlace:
    try:
        return HistoryPlace.read(cursor)
    except ValueError as error:
        raise ValidationError({"cursor": ["Not a cursor that this list gave out."]}) from error
