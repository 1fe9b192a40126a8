"""Which request and which execution a log line belongs to, across threads and services."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

log = structlog.get_logger()

REQUEST_ID: Final = "X-Request-ID"
EXECUTION_ID: Final = "X-Execution-ID"
_BOUND: Final = {REQUEST_ID: "request_id", EXECUTION_ID: "execution_id"}
#: An id from a caller that may be used in logs and headers.
_VALID_ID: Final = re.compile(r"[\w.:@+/=-]{1,200}", re.ASCII)


_MASK: Final = "***"
#: A part of a path that is so long is the token of a device, even if no route has it.
_SECRET_PART: Final = re.compile(r"[^/]{100,}")


@contextmanager
def working_on(execution_id: str) -> Iterator[None]:
    """Mark log lines, and requests to our services, with an execution."""
    with structlog.contextvars.bound_contextvars(execution_id=execution_id):
        yield


def correlation_headers() -> dict[str, str]:
    """Return headers by which another service marks its log lines with the same ids."""
    bound = structlog.contextvars.get_contextvars()
    return {
        header: bound[name]
        for header, name in _BOUND.items()
        if name in bound and _VALID_ID.fullmatch(bound[name])
    }


def trace_requests(app: Flask) -> None:
    """Give each request an id, or keep the id of the caller, in the answer and every log line.

    Requests for health, metrics and static files are not logged, because they are too many.
    """

    @app.before_request
    def begin() -> None:
        g.begun_at = time.monotonic()
        g.request_id = _read_id(REQUEST_ID) or uuid4().hex
        structlog.contextvars.clear_contextvars()  # a thread serves one request after another
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        execution_id = _read_id(EXECUTION_ID)
        if execution_id:
            structlog.contextvars.bind_contextvars(execution_id=execution_id)

    @app.after_request
    def answer(response: Response) -> Response:
        response.headers[REQUEST_ID] = g.request_id
        if not _is_routine(request.path):
            log.info(
                "request_answered",
                method=request.method,
                path=shown_path(),
                status=response.status_code,
                seconds=round(time.monotonic() - g.begun_at, 4),
            )
        return response


def request_id() -> str:
    """Return the id of this request."""
    return str(g.request_id)


def shown_path(user: str = _MASK) -> str:
    """Return the path of this request for the log: tokens are masked, and `user` is for users."""
    named = request.view_args or {}
    path = request.path
    for name, shown in (("token", _MASK), ("user_id", user)):
        if name in named:  # the path may spell an id in capitals
            path = re.sub(re.escape(str(named[name])), shown, path, flags=re.IGNORECASE)
    return _SECRET_PART.sub(_MASK, path)


def _read_id(header: str) -> str | None:
    sent = request.headers.get(header, "")
    return sent if _VALID_ID.fullmatch(sent) else None


def _is_routine(path: str) -> bool:
    return "/health" in path or path.endswith("/metrics") or "/static/" in path
