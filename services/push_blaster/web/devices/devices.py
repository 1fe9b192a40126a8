"""Routes about devices: which token reaches whom."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import INCLUDE, ValidationError, fields, validate
from werkzeug.exceptions import NotFound

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.problems import problem_response
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.devices.device_fields import Device, DeviceRefusedError, read_device
from push_blaster.adapters.devices.device_table import (
    delete_device,
    delete_devices_of,
    select_devices_of,
    upsert_devices,
)
from push_blaster.domain.devices.device import DeviceKind

MAX_DEVICES = 10_000


class KeysSchema(CamelSchema):
    """The keys of a web push subscription."""

    p256dh = fields.String(required=True)
    auth = fields.String(required=True)


class DeviceSchema(CamelSchema):
    """A device of a user."""

    token = fields.String(required=True)
    user_id = fields.UUID(required=True)
    kind = fields.String(load_default="fcm", validate=validate.OneOf(list(DeviceKind)))
    platform = fields.String(allow_none=True)
    timezone = fields.String(allow_none=True)
    app_version = fields.String(allow_none=True)
    keys = fields.Nested(KeysSchema, load_only=True)
    created_at = fields.AwareDateTime(dump_only=True)
    last_seen_at = fields.AwareDateTime()
    dead_at = fields.AwareDateTime(dump_only=True, allow_none=True)
    dead_reason = fields.String(dump_only=True, allow_none=True)


class DevicesBodySchema(CamelSchema):
    """Body of POST /api/devices: the fields of one device, or many under `devices`."""

    class Meta:
        unknown = INCLUDE

    devices = fields.List(fields.Raw(), validate=validate.Length(min=1, max=MAX_DEVICES))


class DeviceQuerySchema(CamelSchema):
    """Query of GET /api/devices."""

    user_id = fields.UUID(required=True)
    kind = fields.String(load_default=None, validate=validate.OneOf(list(DeviceKind)))
    dead = fields.Boolean(load_default=None)


class ForgetQuerySchema(CamelSchema):
    """Query of DELETE /api/devices: one device by its token, or all of a user."""

    token = fields.String(load_default=None, validate=validate.Length(min=1))
    user_id = fields.UUID(load_default=None)


class DeviceListSchema(CamelSchema):
    """The devices of one user."""

    devices = fields.List(fields.Nested(DeviceSchema))


class RefusedDeviceSchema(CamelSchema):
    """A device of a list that was refused, by its place in the list."""

    index = fields.Integer()
    errors = fields.List(fields.String())


class RegisteredSchema(CamelSchema):
    """What became of the devices; `unchanged` told nothing newer than what is known."""

    registered = fields.Integer()
    unchanged = fields.Integer()
    refused = fields.Integer()
    errors = fields.List(fields.Nested(RefusedDeviceSchema))


class ForgottenSchema(CamelSchema):
    """How many devices were forgotten."""

    deleted = fields.Integer()


def device_routes(database: Database, push_hosts: Sequence[str]) -> Routes:
    """Return the routes about devices; subscriptions of browsers lead to `push_hosts`."""
    routes = Routes("devices", __name__, description="Device tokens")

    @routes.route("/api/devices", methods=["GET"])
    @routes.arguments(DeviceQuerySchema, location="query")
    @routes.response(200, DeviceListSchema)
    def list_of_user(query: dict[str, Any]) -> dict[str, Any]:
        """List a user's devices, the one seen last first."""
        with database.transaction() as connection:
            return {"devices": select_devices_of(connection, **query)}

    @routes.route("/api/devices", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(
        DevicesBodySchema, example={"userId": "…", "token": "…", "kind": "fcm", "platform": "ios"}
    )
    @routes.alt_response(200, schema=RegisteredSchema)
    def register(body: dict[str, Any]) -> ResponseReturnValue:
        """Register one device, or the good ones of a list; safe to repeat."""
        if "devices" in body:
            return _register_list(database, body["devices"], push_hosts)
        try:
            device = read_device(body, utc_now(), push_hosts)
        except DeviceRefusedError as refused:
            faults = {name: [fault] for name, fault in refused.faults.items()}
            raise ValidationError(faults) from refused
        return _register(database, [device], [])

    @routes.route("/api/devices", methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(ForgetQuerySchema, location="query")
    @routes.response(200, ForgottenSchema)
    def forget(query: dict[str, Any]) -> dict[str, int]:
        """Forget a device by its token, or every device of a user; safe to repeat."""
        token: str | None = query["token"]
        user_id: UUID | None = query["user_id"]
        if (token is None) == (user_id is None):
            raise ValidationError({"token": ["Say token, or userId, and not both."]})
        with database.transaction() as connection:
            if user_id:
                return {"deleted": delete_devices_of(connection, user_id)}
            return {"deleted": delete_device(connection, token or "")}

    @routes.route("/api/devices/<token>", methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @routes.response(204)
    def forget_one(token: str) -> None:
        """Forget a device whose token has no slash."""
        with database.transaction() as connection:
            if not delete_device(connection, token):
                raise NotFound("There is no device of that token.")

    return routes


def _register_list(
    database: Database, rows: list[Any], push_hosts: Sequence[str]
) -> ResponseReturnValue:
    now = utc_now()
    good: list[Device] = []
    errors: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        try:
            good.append(read_device(row, now, push_hosts))
        except DeviceRefusedError as refused:
            lines = [f"{name}: {fault}" for name, fault in refused.faults.items()]
            errors.append({"index": index, "errors": lines})
    if not good:
        return _refuse_all(errors)
    return _register(database, good, errors)


def _refuse_all(errors: list[dict[str, Any]]) -> ResponseReturnValue:
    lines = [f"devices[{error['index']}].{line}" for error in errors for line in error["errors"]]
    detail = f"None of the {len(errors)} devices is good: {'; '.join(lines[:5])}"
    return problem_response(400, "Bad Request", detail, lines[:1_000])


def _register(
    database: Database, devices: list[Device], errors: list[dict[str, Any]]
) -> ResponseReturnValue:
    with database.transaction() as connection:
        registered = upsert_devices(connection, devices, utc_now())
    unchanged = len(devices) - registered
    return jsonify(registered=registered, unchanged=unchanged, refused=len(errors), errors=errors)
