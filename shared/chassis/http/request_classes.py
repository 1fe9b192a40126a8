"""Classes of requests: each has threads of its own, so that no class waits for another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from flask import Flask, current_app, has_request_context, request
from werkzeug.exceptions import HTTPException

_View = TypeVar("_View", bound=Callable[..., object])


class RequestClass(StrEnum):
    """Which threads of a worker serve a request."""

    USUAL = "usual"
    #: Bodies that are too large to be read before the request is served.
    LARGE = "large"
    #: What a send asks the cadence service, and tells it.
    CHECK = "check"
    #: The same about very many users: one at a time, because each needs much memory.
    HUGE_CHECK = "huge-check"
    #: What stops something; bodies of any size.
    STOP = "stop"
    #: What needs no token: health, probes.
    OPEN = "open"
    #: What apps and pages of users report without a token; it comes in floods.
    REPORT = "report"
    #: Signing in and out, which waits for the database.
    SIGN_IN = "sign-in"
    #: Style sheets and scripts of the pages.
    FILES = "files"
    #: Tables that are read from the database while the client reads them.
    EXPORT = "export"
    #: Answers that go on for as long as the client listens.
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Capacity:
    """The threads of a worker for a class, and the number of requests that may wait for them."""

    threads: int
    waiting: int


#: Threads start when they are needed first.
CAPACITIES: Final[Mapping[RequestClass, Capacity]] = {
    RequestClass.USUAL: Capacity(threads=6, waiting=64),
    RequestClass.LARGE: Capacity(threads=2, waiting=8),
    RequestClass.CHECK: Capacity(threads=2, waiting=32),
    RequestClass.HUGE_CHECK: Capacity(threads=1, waiting=8),
    RequestClass.STOP: Capacity(threads=4, waiting=32),
    RequestClass.OPEN: Capacity(threads=4, waiting=16),
    RequestClass.REPORT: Capacity(threads=6, waiting=64),
    RequestClass.SIGN_IN: Capacity(threads=4, waiting=16),
    RequestClass.FILES: Capacity(threads=2, waiting=16),
    RequestClass.EXPORT: Capacity(threads=2, waiting=8),
    RequestClass.STREAM: Capacity(threads=36, waiting=8),
}
#: The connections of a worker for stops: one for each thread, and one for each check of a token,
#: which may hang for longer than the thread waits for the check.
STOP_CONNECTIONS: Final = 2 * CAPACITIES[RequestClass.STOP].threads
#: A larger body is not read before the request is served; and from which size on a check is huge.
MAX_BUFFERED: Final = 128 * 1024
MAX_CHECK: Final = 8 * 1024 * 1024
#: The streams of a worker, and those of one caller; a few threads stay free to refuse more.
STREAMS: Final = 32
STREAMS_OF_A_CALLER: Final = 8


def of_class(kind: RequestClass) -> Callable[[_View], _View]:
    """Mark a view with the class of its requests."""

    def mark(view: _View) -> _View:
        view.request_class = kind  # type: ignore[attr-defined]  # read by find_class() below
        return view

    return mark


def find_class(app: Flask, method: str, path: str, size: int = 0) -> RequestClass:
    """Return the class of a request with a body of this size."""
    kind = _find_usual_class(app, method, path)
    if kind is RequestClass.CHECK:
        return RequestClass.HUGE_CHECK if size > MAX_CHECK else kind
    is_large = size > MAX_BUFFERED and kind is not RequestClass.STOP
    return RequestClass.LARGE if is_large else kind


def _find_usual_class(app: Flask, method: str, path: str) -> RequestClass:
    try:
        endpoint, _ = app.url_map.bind("").match(path, method)
    except HTTPException:
        return RequestClass.USUAL
    if endpoint.endswith("static"):
        return RequestClass.FILES
    return request_class(app.view_functions[endpoint])


def serves_stop() -> bool:
    """Return whether this thread works for a request that stops something."""
    if not has_request_context():
        return False
    if request.endpoint is None:  # the cookie is read before the view is found
        return find_class(current_app, request.method, request.path) is RequestClass.STOP
    return request_class(current_app.view_functions[request.endpoint]) is RequestClass.STOP


def request_class(view: Callable[..., object]) -> RequestClass:
    """Return the class of requests for a view."""
    usual = RequestClass.OPEN if getattr(view, "needs_no_token", False) else RequestClass.USUAL
    kind: RequestClass = getattr(view, "request_class", usual)
    return kind
