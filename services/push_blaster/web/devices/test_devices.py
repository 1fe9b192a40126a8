"""Routes about test devices: named devices that automations choose for their tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from marshmallow import ValidationError, validate

from chassis.bearer_auth import Role, asks_for, caller_name, caller_only_simulates
from chassis.clock import utc_now
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema, request_schema
from push_blaster.adapters.devices.device_fields import DeviceRefusedError
from push_blaster.adapters.devices.named_devices import NamedDevice, select_named_devices
from push_blaster.domain.devices.device import DeviceKind
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.devices.manage_test_devices import (
    TestDevices,
    find_users_of,
)
from push_blaster.use_cases.one_off.send_to_test_device import send_to_test_device
from push_blaster.web.frame.repeatable import repeatable

#: No answer has the token, whoever asks.
NamedDeviceSchema = answer_schema(
    NamedDevice, "TestDevice", without=("token", "keys"), more=("masked_token",)
)
StartedTestSchema = object_schema("StartedDeviceTest", execution_id=str)
RemovedSchema = object_schema("RemovedTestDevice", deleted=int, automations=list[str])

_KIND: Final = validate.OneOf([kind.value for kind in DeviceKind])
_KEYS: Final[Any] = about(None, description="Of a web push subscription: p256dh and auth.")
_OWNER: Final[Any] = about(None, description="The user whose device it is, if you want to say so.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTestDevice:
    """Body of POST /api/test-devices."""

    name: str
    token: str
    kind: str = about(DeviceKind.FCM.value, validate=_KIND)
    platform: str | None = None
    keys: Mapping[str, str] | None = _KEYS
    user_id: UUID | None = _OWNER


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTestDevice:
    """Body of PUT /api/test-devices/<device_id>: without a token, the device keeps its own."""

    name: str
    token: str | None = None
    kind: str | None = about(None, validate=_KIND)
    platform: str | None = None
    keys: Mapping[str, str] | None = _KEYS
    user_id: UUID | None = _OWNER


def test_device_routes(context: WebContext, devices: TestDevices) -> Routes:
    """Return the routes about test devices."""
    routes = Routes("test_devices", __name__, description="Named devices that get tests")
    database = context.database

    @routes.route("/api/test-devices", methods=["GET"])
    @routes.response(200, object_schema("TestDeviceList", test_devices=(NamedDeviceSchema,)))
    def list_all() -> dict[str, object]:
        """List the test devices by name; no answer has their tokens."""
        with database.transaction() as connection:
            return {"test_devices": select_named_devices(connection)}

    @routes.route("/api/test-devices", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(request_schema(NewTestDevice))
    @repeatable(routes, database)
    @routes.response(201, NamedDeviceSchema)
    def register(given: NewTestDevice, idempotency_key: str | None) -> NamedDevice:
        """Register a test device; the same Idempotency-Key registers it once."""
        device_id = uuid5(NAMESPACE_URL, idempotency_key) if idempotency_key else uuid4()
        with _named_faults():
            return devices.register(device_id, _write_fields(given), caller_name(), utc_now())

    _add_one(routes, context, devices)
    return routes


def _add_one(routes: Routes, context: WebContext, devices: TestDevices) -> None:
    one = "/api/test-devices/<uuid:device_id>"

    @routes.route(one, methods=["GET"])
    @routes.response(200, NamedDeviceSchema)
    def read_one(device_id: UUID) -> NamedDevice:
        """Read one test device."""
        return devices.find(device_id)

    @routes.route(one, methods=["PUT"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(request_schema(ChangedTestDevice))
    @routes.response(200, NamedDeviceSchema)
    def change(given: ChangedTestDevice, device_id: UUID) -> NamedDevice:
        """Rename a test device, or give it another token; safe to repeat."""
        with _named_faults():
            return devices.change(device_id, _write_fields(given), utc_now())

    @routes.route(one, methods=["DELETE"])
    @asks_for(Role.OPERATOR)
    @routes.response(200, RemovedSchema)
    def remove(device_id: UUID) -> dict[str, object]:
        """Remove a test device; the answer names the automations that still name it."""
        users = [automation.id for automation in find_users_of(context.files, device_id)]
        return {"deleted": int(devices.remove(device_id)), "automations": users}

    @routes.route(f"{one}/send", methods=["POST"])
    @asks_for(Role.OPERATOR, simulates=True)
    @repeatable(routes, context.database)
    @routes.response(202, StartedTestSchema)
    def send(device_id: UUID, idempotency_key: str | None) -> dict[str, object]:
        """Send a test to this device now; the same Idempotency-Key sends it once."""
        execution = send_to_test_device(
            context,
            devices.find(device_id),
            idempotency_key,
            utc_now(),
            is_simulated=caller_only_simulates(),
        )
        return {"execution_id": execution.id}


def _write_fields(given: NewTestDevice | ChangedTestDevice) -> Mapping[str, object]:
    """Return the fields of a test device as clients write them."""
    owner = str(given.user_id) if given.user_id else None
    return {**asdict(given), "userId": owner}


@contextmanager
def _named_faults() -> Iterator[None]:
    """Refuse the body of a device that cannot be read; each fault is told by its field."""
    try:
        yield
    except DeviceRefusedError as refused:
        raise ValidationError({n: [fault] for n, fault in refused.faults.items()}) from refused
