"""Classes of requests: each has threads of its own, so that no class waits for another."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from flask import Flask
from werkzeug.exceptions import HTTPException

_View = TypeVar("_View", bound=Callable[..., object])


class RequestClass(StrEnum):
    """Which threads of a worker serve a request."""

    USUAL = "usual"
    #: Bodies that are too large to be read before the request is served.
    LARGE = "large"
    #: What stops something.
    STOP = "stop"
    #: What needs no token: health, probes, signing in.
    OPEN = "open"
    #: Style sheets and scripts of the pages.
    FILES = "files"
    #: Answers that go on for as long as the client listens.
    STREAM = "stream"


#: The threads of a worker for each class; they start when they are needed first.
THREADS: Final[Mapping[RequestClass, int]] = {
    RequestClass.USUAL: 6,
    RequestClass.LARGE: 2,
    RequestClass.STOP: 4,
    RequestClass.OPEN: 4,
    RequestClass.FILES: 2,
    RequestClass.STREAM: 36,
}
#: The streams of a worker, and those of one caller; a few threads stay free to refuse more.
STREAMS: Final = 32
STREAMS_OF_A_CALLER: Final = 8


def of_class(kind: RequestClass) -> Callable[[_View], _View]:
    """Mark a view with the class of its requests."""

    def mark(view: _View) -> _View:
        view.request_class = kind  # type: ignore[attr-defined]  # read by find_class() below
        return view

    return mark


def find_class(app: Flask, method: str, path: str) -> RequestClass:
    """Return the class of a request that is not large."""
    try:
        endpoint, _ = app.url_map.bind("").match(path, method)
    except HTTPException:
        return RequestClass.USUAL
    if endpoint.endswith("static"):
        return RequestClass.FILES
    view = app.view_functions[endpoint]
    usual = RequestClass.OPEN if getattr(view, "needs_no_token", False) else RequestClass.USUAL
    kind: RequestClass = getattr(view, "request_class", usual)
    return kind
