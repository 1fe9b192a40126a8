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
#: What is taken over from a caller; it ends up in logs and in headers.
_SOUND: Final = re.compile(r"[\w.:@+/=-]{1,200}", re.ASCII)


_MASK: Final = "***"
#: What is so long is the token of a device, also where it leads to no route.
_SECRET_PART: Final = re.compile(r"[^/]{100,}")


@contextmanager
def working_on(execution_id: str) -> Iterator[None]:
    """Mark log lines, and requests to our services, with the execution that they serve."""
    with structlog.contextvars.bound_contextvars(execution_id=execution_id):
        yield


def correlation_headers() -> dict[str, str]:
    """Return the headers that let another service mark its log lines as this one does."""
    bound = structlog.contextvars.get_contextvars()
    return {
        header: bound[name]
        for header, name in _BOUND.items()
        if name in bound and _SOUND.fullmatch(bound[name])
    }


def trace_requests(app: Flask) -> None:
    """Give each request an id, the caller's if it brings one: in the answer and in every log line.

    What machines ask for all the time, health, metrics and static files, is not logged.
    """

    @app.before_request
    def begin() -> None:
        g.begun_at = time.monotonic()
        g.request_id = _taken_over(REQUEST_ID) or uuid4().hex
        structlog.contextvars.clear_contextvars()  # a thread serves one request after another
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        execution_id = _taken_over(EXECUTION_ID)
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


def shown_path() -> str:
    """Return the path of this request as it may be written down: a token in it is masked."""
    token = (request.view_args or {}).get("token")
    path = request.path.replace(token, _MASK) if token else request.path
    return _SECRET_PART.sub(_MASK, path)


def _taken_over(header: str) -> str | None:
    brought = request.headers.get(header, "")
    return brought if _SOUND.fullmatch(brought) else None


def _is_routine(path: str) -> bool:
    return "/health" in path or path.endswith("/metrics") or "/static/" in path
