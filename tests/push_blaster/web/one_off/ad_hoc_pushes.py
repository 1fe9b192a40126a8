"""Pushes that are sent ad hoc over HTTP."""

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from tests.people import ALICE
from tests.push_blaster.bench import Bench

SEND_PUSH = "/api/send-push"


def a_push(**changes: Any) -> dict[str, Any]:
    push = {"title": "Hello", "body": "There is news.", "layerId": 3, "userIds": str(ALICE)}
    return {name: value for name, value in {**push, **changes}.items() if value is not None}


def post(client: FlaskClient, key: str | None = None, **changes: Any) -> TestResponse:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(SEND_PUSH, json=a_push(**changes), headers=headers)


def register(bench: Bench, *users: Any) -> None:
    devices = [Device(f"token-{user}", user) for user in users]
    with bench.database.transaction() as connection:
        upsert_devices(connection, devices, bench.now)
