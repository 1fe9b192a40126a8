"""A number for each request, which its log lines, its answer and its records carry."""

import re
from typing import Final
from uuid import uuid4

import structlog
from flask import Flask, Response, request

HEADER: Final = "X-Request-Id"

_NUMBER: Final = "chassis.request_id"
#: What a proxy or a client may call a request; anything else gets a number of ours.
_FITS: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


def number_requests(app: Flask) -> None:
    """Give each request its number: the one that it brings along, or a new one."""

    @app.before_request
    def number() -> None:
        given = request.headers.get(HEADER, "")
        request.environ[_NUMBER] = given if _FITS.fullmatch(given) else uuid4().hex
        structlog.contextvars.bind_contextvars(request=request_id())

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        return response

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        structlog.contextvars.unbind_contextvars("request")


def request_id() -> str:
    """Return the number of this request."""
    return str(request.environ.get(_NUMBER, ""))
