"""A WSGI app for the tests of its server: slow, but for health."""

import time
from collections.abc import Callable, Iterable
from typing import Any


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer the path of the request, later unless it is about health."""
    path = environ["PATH_INFO"]
    if path.startswith("/slow"):
        time.sleep(5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [path.encode()]
