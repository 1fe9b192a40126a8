"""A proxy in front of a service; a test can switch its faults on and off."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.serving import running


class Mood(Enum):
    """How it answers."""

    WELL = auto()
    AWAY = auto()
    SLOW = auto()
    FAILING = auto()
    NONSENSE = auto()
    BUSY = auto()


@dataclass
class FickleProxy:
    """Passes requests on to `target` while it is well; `asked` counts the requests."""

    url: str
    target: str = ""
    mood: Mood = Mood.WELL
    slowness_s: float = 6.0
    retry_after: str = "1"
    asked: int = 0


@contextmanager
def run_proxy() -> Iterator[FickleProxy]:
    """Serve on a free port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.proxy = FickleProxy(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]  # for the handler
    with running(server):
        yield server.proxy  # type: ignore[attr-defined]  # set above


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        proxy: FickleProxy = self.server.proxy  # type: ignore[attr-defined]  # set by run_proxy
        proxy.asked += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if proxy.mood is Mood.AWAY:
            self.close_connection = True
            return
        if proxy.mood is Mood.SLOW:
            time.sleep(proxy.slowness_s)
        try:
            status, content = _answer(proxy, self, body)
        except requests.RequestException:  # what stands behind us is away, so we are
            self.close_connection = True
            return
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status == 503:
                self.send_header("Retry-After", proxy.retry_after)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _answer(proxy: FickleProxy, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
    if proxy.mood is Mood.FAILING:
        return 500, b"out of order"
    if proxy.mood is Mood.BUSY:
        return 503, b"busy"
    if proxy.mood is Mood.NONSENSE:
        return 200, b'{"eligibleUserIds": "all of them"}'
    headers = {name: handler.headers[name] for name in ("Authorization", "Content-Type")}
    response = requests.request(
        handler.command,
        proxy.target + handler.path,
        data=body,
        headers={name: value for name, value in headers.items() if value},
        timeout=30,
    )
    return response.status_code, response.content
