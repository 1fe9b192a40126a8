"""A local service that knows the devices of users, by REST and by GraphQL, and fails when asked."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from tests.serving import serving


@dataclass
class DeviceServer:
    """Knows `devices`, rows with userId; `faults` are what its next answers are, one word each.

    Words: a status, `slow`, `nonsense`, `errors` (GraphQL's), `empty` (without its list), `well`.
    """

    url: str = ""
    devices: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[str | None] = field(default_factory=list)

    def answer(self) -> ResponseReturnValue:
        body = request.get_json()
        ids = body["variables"]["ids"] if "query" in body else body["userIds"]
        self.bodies.append(body)
        self.asked.append(ids)
        self.secrets.append(request.headers.get("X-Admin-Secret"))
        fault = self.faults.pop(0) if self.faults else "well"
        if fault.isdigit():
            return Response(status=int(fault), headers={"Location": "/"})
        if fault == "slow":
            time.sleep(0.6)
        if fault in _ANSWERS:
            return Response(_ANSWERS[fault], content_type="application/json")
        rows = [device for device in self.devices if device["userId"] in ids]
        return jsonify(
            {"data": {"users": _by_user(rows)}} if "query" in body else {"devices": rows}
        )


_ANSWERS = {
    "nonsense": "<html>",
    "errors": '{"errors": [{"message": "permission denied"}]}',
    "empty": '{"data": {}}',
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
