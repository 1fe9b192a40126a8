"""The route that remembers what was sent."""

from typing import Any

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import INCLUDE, Schema

from cadence_contract import (
    TRACK_NOTIFICATION_PATH,
    NotificationSchema,
    NotificationsSchema,
    TrackedSchema,
)
from cadence_service.adapters.notification_record import MessageTexts, Notification
from cadence_service.use_cases.record_notifications import record_notifications
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes


class TrackBodySchema(Schema):
    """One notification, or `notifications`: a list of them."""

    class Meta:
        unknown = INCLUDE


def notification_routes(database: Database) -> Routes:
    """Return the route that records notifications."""
    routes = Routes("notifications", __name__, description="What was sent")

    @routes.route(TRACK_NOTIFICATION_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(TrackBodySchema)
    @routes.alt_response(200, schema=TrackedSchema)
    def track(body: dict[str, Any]) -> ResponseReturnValue:
        """Record one notification, or many; the same idempotencyKey counts once."""
        notifications = [_read(loaded) for loaded in _load(body)]
        with database.transaction() as connection:
            done = record_notifications(connection, notifications)
        return jsonify(
            success=True,
            message=f"{done.recorded} recorded, {done.duplicates} known before.",
            recorded=done.recorded,
            duplicates=done.duplicates,
        )

    return routes


def _load(body: dict[str, Any]) -> list[dict[str, Any]]:
    if "notifications" in request.get_json():
        loaded: dict[str, list[dict[str, Any]]] = NotificationsSchema().load(body)
        return loaded["notifications"]
    return [NotificationSchema().load(body)]


def _read(loaded: dict[str, Any]) -> Notification:
    now = utc_now()
    sent_at = loaded["sent_at"] or now
    return Notification(
        user_id=loaded["user_id"],
        layer_id=loaded["layer_id"],
        texts=MessageTexts(
            loaded["push_title"],
            loaded["push_body"],
            loaded["audience_description"],
            loaded["deep_link"],
        ),
        sent_at=sent_at,
        actually_sent_at=loaded["actually_sent_at"] or sent_at,
        idempotency_key=loaded["idempotency_key"],
    )
