"""Routes about devices: which token reaches whom."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate
from werkzeug.exceptions import NotFound

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from push_blaster.adapters.device_table import (
    Device,
    delete_device,
    select_devices_of,
    upsert_devices,
)

MAX_DEVICES = 10_000


class DeviceSchema(Schema):
    """A device token of a user."""

    token = fields.String(required=True, validate=validate.Length(min=1, max=4_096))
    user_id = fields.UUID(required=True, data_key="userId")
    kind = fields.String(load_default="fcm", validate=validate.OneOf(["fcm"]))
    platform = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=50))
    created_at = fields.AwareDateTime(dump_only=True, data_key="createdAt")
    last_seen_at = fields.AwareDateTime(dump_only=True, data_key="lastSeenAt")
    dead_at = fields.AwareDateTime(dump_only=True, data_key="deadAt", allow_none=True)
    dead_reason = fields.String(dump_only=True, data_key="deadReason", allow_none=True)


class DevicesBodySchema(Schema):
    """Body of POST /api/devices: one device, or `devices`."""

    token = fields.String(validate=validate.Length(min=1, max=4_096))
    user_id = fields.UUID(data_key="userId")
    kind = fields.String(validate=validate.OneOf(["fcm"]))
    platform = fields.String(allow_none=True, validate=validate.Length(max=50))
    devices = fields.List(
        fields.Nested(DeviceSchema), validate=validate.Length(min=1, max=MAX_DEVICES)
    )


class DeviceQuerySchema(Schema):
    """Query of GET /api/devices."""

    user_id = fields.UUID(required=True, data_key="userId")


class DeviceListSchema(Schema):
    """The devices of one user."""

    devices = fields.List(fields.Nested(DeviceSchema))


class RegisteredSchema(Schema):
    """How many devices were registered."""

    registered = fields.Integer()


def device_routes(database: Database) -> Routes:
    """Return the routes about devices."""
    routes = Routes("devices", __name__, description="Device tokens")

    @routes.route("/api/devices", methods=["GET"])
    @routes.arguments(DeviceQuerySchema, location="query")
    @routes.response(200, DeviceListSchema)
    def list_of_user(query: dict[str, UUID]) -> dict[str, Any]:
        """List a user's devices, the one seen last first."""
        with database.transaction() as connection:
            return {"devices": select_devices_of(connection, query["user_id"])}

    @routes.route("/api/devices", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(DevicesBodySchema)
    @routes.response(200, RegisteredSchema)
    def register(body: dict[str, Any]) -> dict[str, int]:
        """Register one device or many; safe to repeat."""
        devices = _read_devices(body)
        with database.transaction() as connection:
            upsert_devices(connection, devices, utc_now())
        return {"registered": len(devices)}

    @routes.route("/api/devices/<token>", methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @routes.response(204)
    def forget(token: str) -> None:
        """Forget a device."""
        with database.transaction() as connection:
            if not delete_device(connection, token):
                raise NotFound("There is no device of that token.")

    return routes


def _read_devices(body: dict[str, Any]) -> list[Device]:
    if "devices" in body:
        return [Device(**device) for device in body["devices"]]
    missing = [
        wire for wire, name in (("token", "token"), ("userId", "user_id")) if name not in body
    ]
    if missing:
        raise ValidationError({name: ["Missing data for required field."] for name in missing})
    return [Device(**body)]
