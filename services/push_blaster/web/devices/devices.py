"""Routes about devices."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate
from werkzeug.exceptions import Forbidden, NotFound

from chassis.bearer_auth import Role, asks_for, for_apps, user_of_caller
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.problems import problem_response
from chassis.schemas import CamelSchema, OpenSchema
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema
from push_blaster.adapters.devices.device_csv import accept_device, read_device_list
from push_blaster.adapters.devices.device_fields import (
    DEVICE_FIELDS,
    Device,
    DeviceRefusedError,
    read_device,
)
from push_blaster.adapters.devices.device_table import (
    RegisteredDevice,
    delete_device,
    delete_devices_of,
    select_devices_of,
)
from push_blaster.domain.devices.device import DeviceKind, hide_token
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.devices.import_devices import import_devices
from push_blaster.use_cases.devices.import_items import Imported
from push_blaster.web.access.identity_callers import TOKENS_OR_USERS, require_own
from push_blaster.web.frame.internal_facts import may_see_internals

MAX_DEVICES: Final = 10_000


DeviceSchema = CamelSchema.from_dict(
    {
        **{name: field.schema for name, field in DEVICE_FIELDS.items()},
        "created_at": fields.AwareDateTime(dump_only=True),
        "dead_at": fields.AwareDateTime(dump_only=True, allow_none=True),
        "dead_reason": fields.String(dump_only=True, allow_none=True),
    },
    name="Device",
)


class DevicesBodySchema(OpenSchema):
    """Body of POST /api/devices: the fields of one device, or many under `devices`."""

    devices = fields.List(fields.Raw(), validate=validate.Length(min=1, max=MAX_DEVICES))


RefusedDeviceSchema = object_schema("RefusedDevice", index=int, errors=list[str])
NotedDeviceSchema = object_schema("NotedDevice", index=int, notes=list[str])
RegisteredSchema = object_schema(
    "Registered",
    registered=int,
    unchanged=int,
    refused=int,
    errors=(RefusedDeviceSchema,),
    ignored=(NotedDeviceSchema,),
)
ForgottenSchema = object_schema("Forgotten", deleted=int)


def device_routes(database: Database, push_hosts: Sequence[str]) -> Routes:
    """Return the routes about devices; subscriptions of browsers lead to `push_hosts`."""
    routes = Routes("devices", __name__, description="Device tokens")

    @routes.route("/api/devices", methods=["GET"])
    @routes.query
    @routes.response(200, object_schema("DeviceList", devices=(DeviceSchema,)))
    def list_of_user(
        *,
        user_id: UUID,
        kind: str | None = about(None, validate=validate.OneOf(list(DeviceKind))),
        dead: bool | None = None,
    ) -> dict[str, object]:
        """List a user's devices, the one seen last first; a viewer does not see the tokens."""
        return {"devices": find_devices_of(database, user_id, kind, dead)}

    @routes.route("/api/devices", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @for_apps(audited=False)
    @routes.doc(security=TOKENS_OR_USERS)
    @routes.arguments(
        DevicesBodySchema, example={"userId": "…", "token": "…", "kind": "fcm", "platform": "ios"}
    )
    @routes.alt_response(200, schema=RegisteredSchema)
    def register(body: Mapping[str, object]) -> ResponseReturnValue:
        """Register one device, or the valid devices of a list; safe to repeat.

        One device is registered as it arrives: of two registrations of a phone the later one
        counts, and `lastSeenAt` is ignored. Devices of a list count by their `lastSeenAt`. A field
        that is missing changes nothing; null clears it. An identity token registers a phone or a
        browser of its user, who need not be named.
        """
        devices = body.get("devices")
        if isinstance(devices, list):
            if user_of_caller():
                raise Forbidden("devices: An identity token registers one device at a time.")
            return _register_list(database, devices, push_hosts)
        return _answer_import(_register_one(database, body, push_hosts))

    _add_forgetting(routes, database)
    return routes


def _add_forgetting(routes: Routes, database: Database) -> None:
    @routes.route("/api/devices", methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @for_apps()
    @routes.doc(security=TOKENS_OR_USERS)
    @routes.query
    @routes.response(200, ForgottenSchema)
    def forget(
        *,
        token: str | None = about(None, validate=validate.Length(min=1)),
        user_id: UUID | None = None,
    ) -> dict[str, int]:
        """Delete a device by its token, or every device of a user; safe to repeat.

        An identity token deletes devices of its user only: to it, a device that belongs to another
        user by now is unknown, so that a late sign-out does not take the next user's device.
        """
        if (token is None) == (user_id is None):
            raise ValidationError({"token": ["Give token or userId, not both."]})
        with database.transaction() as connection:
            if user_id:
                return {"deleted": delete_devices_of(connection, require_own(user_id))}
            return {"deleted": delete_device(connection, token or "", user_of_caller())}

    @routes.route("/api/devices/<token>", methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @for_apps()
    @routes.doc(security=TOKENS_OR_USERS)
    @routes.response(204)
    def forget_one(token: str) -> None:
        """Delete a device whose token has no slash."""
        with database.transaction() as connection:
            if not delete_device(connection, token, user_of_caller()):
                raise NotFound("There is no device with this token.")


def find_devices_of(
    database: Database, user_id: UUID, kind: str | None = None, dead: bool | None = None
) -> Sequence[RegisteredDevice]:
    """Return a user's devices as the caller may see them."""
    with database.transaction() as connection:
        return hide_tokens(select_devices_of(connection, user_id, kind, dead))


def hide_tokens(devices: Sequence[RegisteredDevice]) -> Sequence[RegisteredDevice]:
    """Return devices as the caller may see them: tokens are for operators and admins."""
    if may_see_internals():
        return devices
    return [replace(device, token=hide_token(device.token)) for device in devices]


def _register_one(
    database: Database, body: Mapping[str, object], push_hosts: Sequence[str]
) -> Imported[Device]:
    """Register a device that is here now: no clock but the database's counts."""
    own = user_of_caller()
    given: dict[str, object] = {"userId": str(own)} if own else {}
    given |= {name: value for name, value in body.items() if name != _CLOCK}
    try:
        device = read_device(given, utc_now(), push_hosts)
    except DeviceRefusedError as refused:
        faults = {name: [fault] for name, fault in refused.faults.items()}
        raise ValidationError(faults) from refused
    require_own(device.user_id)
    if own and device.kind not in OF_USERS:
        raise Forbidden(f"kind: An identity token registers only {', '.join(OF_USERS)}.")
    if _CLOCK in body:
        device = replace(device, notes=(*device.notes, f"{_CLOCK}: {_ARRIVAL}"))
    return import_devices(database, [accept_device(0, device)], utc_now(), is_live=True)


#: The devices that a user has; of the other kinds, a message goes to any address that is named.
OF_USERS: Final = (
    *(DeviceKind.FCM, DeviceKind.FID, DeviceKind.APNS, DeviceKind.APNS_SANDBOX),
    DeviceKind.WEBPUSH,
)
_CLOCK: Final = "lastSeenAt"
_ARRIVAL: Final = "is ignored; one device counts by its arrival here. Lists count by lastSeenAt."


def _register_list(
    database: Database, devices: Sequence[object], push_hosts: Sequence[str]
) -> ResponseReturnValue:
    now = utc_now()
    rows = read_device_list(devices, now, push_hosts)
    done = import_devices(database, rows, now, listed=MAX_DEVICES)
    if done.bad < done.rows:
        return _answer_import(done)
    lines = [f"devices[{row.line}].{line}" for row in done.bad_rows for line in row.faults]
    detail = f"None of the {number_of(done.bad, 'device')} is good: {'; '.join(lines[:5])}"
    return problem_response(400, "Bad Request", detail, lines[:1_000])


def _answer_import(done: Imported[Device]) -> ResponseReturnValue:
    return jsonify(
        registered=done.written,
        unchanged=done.unchanged,
        refused=done.bad,
        errors=[{"index": row.line, "errors": row.faults} for row in done.bad_rows],
        ignored=[{"index": row.line, "notes": row.notes} for row in done.noted_rows],
    )
