"""A local service that knows the devices of users, by REST and by GraphQL, and fails when asked."""

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from tests.serving import serving


@dataclass
class DeviceServer:
    """Knows `devices`, rows with userId; `faults` are what its next answers are, one word each.

    Words: a status, `slow`, `nonsense`, `errors` (GraphQL's), `empty` (without its list), `well`;
    `drip` answers byte by byte, `flood` without end, and `bomb` with gzip that becomes a gigabyte.
    `answers` stand in the place of the devices.
    """

    url: str = ""
    devices: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[str | None] = field(default_factory=list)
    answers: dict[str, Any] | None = None

    def answer(self) -> ResponseReturnValue:
        body = request.get_json()
        ids = body["variables"]["ids"] if "query" in body else body["userIds"]
        self.bodies.append(body)
        self.asked.append(ids)
        self.secrets.append(request.headers.get("X-Admin-Secret"))
        fault = self.faults.pop(0) if self.faults else "well"
        if fault.isdigit():
            return Response(status=int(fault), headers={"Location": "/"})
        time.sleep(0.6 if fault == "slow" else 0)
        if fault in _BODIES:
            packing = {"Content-Encoding": "gzip"} if fault == "bomb" else {}
            return Response(_BODIES[fault](), headers=packing, content_type="application/json")
        if self.answers is not None:
            return jsonify(self.answers)
        rows = [device for device in self.devices if device["userId"] in ids]
        return jsonify(
            {"data": {"users": _by_user(rows)}} if "query" in body else {"devices": rows}
        )


def _drip() -> Iterator[bytes]:
    for _ in range(200):
        time.sleep(0.1)
        yield b" "


def _flood() -> Iterator[bytes]:
    while True:
        yield b" " * 65_536


def _bomb() -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for _ in range(16_384):
        yield packer.compress(b" " * 65_536)
    yield packer.flush()


_BODIES: Final[dict[str, Callable[[], str | Iterator[bytes]]]] = {
    "nonsense": lambda: "<html>",
    "errors": lambda: '{"errors": [{"message": "permission denied"}]}',
    "empty": lambda: '{"data": {}}',
    "drip": _drip,
    "flood": _flood,
    "bomb": _bomb,
}


def _by_user(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"id": row["userId"], "tokens": [{"token": row["token"], "at": row.get("updatedAt")}]}
        for row in rows
    ]


@contextmanager
def run_device_server() -> Iterator[DeviceServer]:
    app = Flask(__name__)
    server = DeviceServer()
    app.add_url_rule("/", view_func=server.answer, methods=["POST"])
    with serving(app) as url:
        server.url = f"{url}/"
        yield server
