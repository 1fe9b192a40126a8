"""The route that records what was sent."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from cadence_contract import (
    TRACK_NOTIFICATION_PATH,
    NotificationSchema,
    NotificationsSchema,
    SettlementSchema,
    TrackedSchema,
)
from cadence_service.adapters.notification_record import MessageTexts
from cadence_service.domain.user_ids import UserIds, read_bytes, read_texts
from cadence_service.use_cases.record_notifications import SentNotification, record_notifications
from cadence_service.use_cases.settle_reservation import Settlement, settle_reservation
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import BulkDatabase
from chassis.schemas import OpenSchema
from chassis.service import Routes

_TEXTS: Final = frozenset(field.name for field in fields(MessageTexts))


class TrackBodySchema(OpenSchema):
    """One notification, or `notifications`: a list of them."""


def notification_routes(database: BulkDatabase) -> Routes:
    """Return the route that records notifications."""
    routes = Routes("notifications", __name__, description="What was sent")

    @routes.route(TRACK_NOTIFICATION_PATH, methods=["POST"])
    @of_class(RequestClass.CHECK)
    @asks_for(Role.OPERATOR)
    @routes.arguments(TrackBodySchema)
    @routes.alt_response(200, schema=TrackedSchema)
    def track(body: Mapping[str, Any]) -> ResponseReturnValue:
        """Record one notification, or many, or settle a reservation; the same key counts once."""
        if "reservationKey" in body and "notifications" not in body:
            return _settle(database, **SettlementSchema().load(body))
        if "notifications" in body:
            loaded = NotificationsSchema().load(body)
        else:
            loaded = {"notifications": [NotificationSchema().load(body)], "reservation_key": None}
        sent = [_read_notification(one) for one in loaded["notifications"]]
        with database.transaction() as connection:
            key = loaded["reservation_key"]
            done = record_notifications(connection, sent, utc_now(), key)
        return jsonify(
            success=True,
            message=f"{done.recorded} recorded, {done.duplicates} known before.",
            recorded=done.recorded,
            duplicates=done.duplicates,
        )

    return routes


def _settle(
    database: BulkDatabase, *, reservation_key: str, sent_at: datetime | None, **loaded: Any
) -> ResponseReturnValue:
    octets = loaded.pop("sent_user_bytes", None)
    sent = _read_users(loaded.pop("sent_user_ids", None), "sentUserIds")
    failed = _read_users(loaded.pop("failed_user_ids", None), "failedUserIds")
    settlement = Settlement(
        texts=MessageTexts(**loaded),
        actually_sent_at=sent_at or utc_now(),
        sent=sent if octets is None else read_bytes(octets).users,
        failed=failed,
    )
    with database.transaction() as connection:
        done = settle_reservation(connection, reservation_key, settlement)
    return jsonify(
        success=True,
        message=f"{done.confirmed} confirmed, {done.released} released.",
        recorded=done.confirmed,
        duplicates=0,
        released=done.released,
        late=done.late,
    )


def _read_users(texts: Sequence[str] | None, json_name: str) -> UserIds | None:
    if texts is None:
        return None
    asked = read_texts(texts)
    if asked.invalid:
        wrong = next(i for i, text in enumerate(texts) if text in asked.invalid)
        raise ValidationError({json_name: {wrong: [f"{texts[wrong][:60]!r} is no UUID."]}})
    return asked.users


def _read_notification(one: Mapping[str, Any]) -> SentNotification:
    texts = {name: one[name] for name in _TEXTS}
    others = {name: value for name, value in one.items() if name not in _TEXTS}
    return SentNotification(texts=MessageTexts(**texts), **others)
