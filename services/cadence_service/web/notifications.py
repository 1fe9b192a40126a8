"""The route that remembers what was sent."""

from typing import Any

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import INCLUDE, ValidationError

from cadence_contract import (
    TRACK_NOTIFICATION_PATH,
    NotificationSchema,
    NotificationsSchema,
    SettlementSchema,
    TrackedSchema,
)
from cadence_service.adapters.notification_record import MessageTexts, Notification
from cadence_service.domain.user_ids import UserIds, read_bytes, read_texts
from cadence_service.use_cases.record_notifications import record_notifications
from cadence_service.use_cases.settle_reservation import Settlement, settle_reservation
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.schemas import CamelSchema
from chassis.service import Routes


class TrackBodySchema(CamelSchema):
    """One notification, or `notifications`: a list of them."""

    class Meta:
        unknown = INCLUDE


def notification_routes(database: BulkDatabase) -> Routes:
    """Return the route that records notifications."""
    routes = Routes("notifications", __name__, description="What was sent")

    @routes.route(TRACK_NOTIFICATION_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(TrackBodySchema)
    @routes.alt_response(200, schema=TrackedSchema)
    def track(body: dict[str, Any]) -> ResponseReturnValue:
        """Record one notification, or many, or settle a reservation; the same key counts once."""
        if "reservationKey" in body and "notifications" not in body:
            return _settle(database, SettlementSchema().load(body))
        loaded, reservation_key = _load(body)
        with database.transaction() as connection:
            done = record_notifications(connection, [_read(n) for n in loaded], reservation_key)
        return jsonify(
            success=True,
            message=f"{done.recorded} recorded, {done.duplicates} known before.",
            recorded=done.recorded,
            duplicates=done.duplicates,
        )

    return routes


def _settle(database: BulkDatabase, loaded: dict[str, Any]) -> ResponseReturnValue:
    settlement = Settlement(
        texts=_texts(loaded),
        actually_sent_at=loaded["sent_at"] or utc_now(),
        sent=_read_sent(loaded),
        failed=_read_users(loaded, "failed_user_ids", "failedUserIds"),
    )
    with database.transaction() as connection:
        done = settle_reservation(connection, loaded["reservation_key"], settlement)
    return jsonify(
        success=True,
        message=f"{done.confirmed} confirmed, {done.released} released.",
        recorded=done.confirmed,
        duplicates=0,
        released=done.released,
        late=done.late,
    )


def _read_sent(loaded: dict[str, Any]) -> UserIds | None:
    octets = loaded.get("sent_user_bytes")
    if octets is not None:
        return read_bytes(octets).users
    return _read_users(loaded, "sent_user_ids", "sentUserIds")


def _read_users(loaded: dict[str, Any], name: str, shown_name: str) -> UserIds | None:
    texts = loaded.get(name)
    if texts is None:
        return None
    asked = read_texts(texts)
    if asked.invalid:
        wrong = next(i for i, text in enumerate(texts) if text in asked.invalid)
        raise ValidationError({shown_name: {wrong: [f"{texts[wrong][:60]!r} is no UUID."]}})
    return asked.users


def _load(body: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    if "notifications" in body:
        loaded: dict[str, Any] = NotificationsSchema().load(body)
        return loaded["notifications"], loaded["reservation_key"]
    return [NotificationSchema().load(body)], None


def _read(loaded: dict[str, Any]) -> Notification:
    now = utc_now()
    sent_at = loaded["sent_at"] or now
    return Notification(
        user_id=loaded["user_id"],
        layer_id=loaded["layer_id"],
        texts=_texts(loaded),
        sent_at=sent_at,
        actually_sent_at=loaded["actually_sent_at"] or sent_at,
        idempotency_key=loaded["idempotency_key"],
    )


def _texts(loaded: dict[str, Any]) -> MessageTexts:
    return MessageTexts(
        loaded["push_title"],
        loaded["push_body"],
        loaded["audience_description"],
        loaded["deep_link"],
    )
