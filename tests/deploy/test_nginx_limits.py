"""nginx takes as much on each route as the service behind it, and not much more anywhere."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from cadence_service.app import MAX_BODY as CADENCE_MAX_BODY
from cadence_service.web.history_tools import MAX_FILE as MAX_HISTORY
from push_blaster.app import MAX_BODY, create_app
from push_blaster.web.devices.csv_imports import MAX_FILE as MAX_DEVICES
from push_blaster.web.engagement.events import MAX_EVENTS_BODY
from push_blaster.web.one_off.send_push import MAX_FILE as MAX_AUDIENCE
from tests.journeys.nginx import running_nginx
from tests.journeys.stack import free_port
from tests.push_blaster.settings import settings_for
from tests.routes import paths_of

MB = 1024 * 1024
CADENCE = {
    "/restore-historical-data": MAX_HISTORY,
    "/convert-audience-to-history": MAX_HISTORY,
    **dict.fromkeys(
        (
            *("/filter-audience", "/track-notification", "/forecast", "/forecast-pushes"),
            *("/over-cap", "/find-matching-logs", "/update-deep-links"),
        ),
        CADENCE_MAX_BODY,
    ),
}
PUSH = {
    "/api/send-push": MAX_AUDIENCE,
    "/send": MAX_AUDIENCE,
    "/send/file": MAX_AUDIENCE,
    "/send/preview": MAX_AUDIENCE,
    "/send/x": MAX_AUDIENCE,
    "/api/devices/import": MAX_DEVICES,
    "/devices/import": MAX_DEVICES,
    "/sign-in": 8 * 1024,
    "/api/events": MAX_EVENTS_BODY,
}


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of one nginx for each configuration; nobody is behind them."""
    folder: Path = tmp_path_factory.mktemp("nginx")
    ports = {name: free_port() for name in ("cadence.conf", "push.conf")}
    for name in ports:
        (folder / name).mkdir()
    with (
        running_nginx(folder / "cadence.conf", [9], ports["cadence.conf"]),
        running_nginx(folder / "push.conf", [9], ports["push.conf"], "push.conf"),
    ):
        yield ports


def ask(port: int, path: str, size: int) -> int:
    """Return what nginx says to a request with a body of this size, before it has come."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(head.encode())
        return int(client.recv(100).split()[1])


@pytest.mark.nginx
def test_each_route_of_cadence_takes_what_the_service_takes_and_others_little(
    fronts: dict[str, int], cadence_app: Flask
) -> None:
    paths = paths_of(cadence_app, "POST")
    limits = {path: CADENCE.get(path.removeprefix("/api"), MB) for path in paths}
    port = fronts["cadence.conf"]

    told = {path: (ask(port, path, n), ask(port, path, n + 1)) for path, n in limits.items()}

    assert {f"{prefix}{path}" for path in CADENCE for prefix in ("", "/api")} <= told.keys()
    assert {path: said for path, said in told.items() if said != (100, 413)} == {}


@pytest.mark.nginx
def test_each_route_of_push_blaster_takes_what_the_service_takes(
    fronts: dict[str, int], tmp_path: Path
) -> None:
    app = create_app(settings_for("postgresql://nobody@127.0.0.1:9/none", tmp_path))
    limits = {path: PUSH.get(path, MAX_BODY) for path in paths_of(app, "POST")}
    port = fronts["push.conf"]

    told = {path: (ask(port, path, n), ask(port, path, n + 1)) for path, n in limits.items()}

    assert told.keys() >= PUSH.keys()
    assert {path: said for path, said in told.items() if said != (100, 413)} == {}
