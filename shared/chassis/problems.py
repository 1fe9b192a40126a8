"""Errors on the wire: problem+json (RFC 9457), with the original's `error` and `errors` beside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from flask import Flask, Response, json
from marshmallow import Schema, ValidationError, fields
from werkzeug.exceptions import HTTPException

PROBLEM_JSON: Final = "application/problem+json"

log = structlog.get_logger()


class ProblemSchema(Schema):
    """The body of `problem_response`, for OpenAPI."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    error = fields.String(required=True)
    message = fields.String(required=True)
    success = fields.Boolean(required=True)
    errors = fields.List(fields.String())
    details = fields.Dict()


@dataclass(frozen=True, slots=True)
class Problem:
    """How one of our exceptions is answered.

    Units: `retry_after` is when another attempt makes sense, in seconds.
    """

    status: int
    title: str
    retry_after: int | None = None


class ExplainedError(Exception):
    """An error with a line for each fault, and with details for programs, beside its message."""

    def __init__(
        self, message: str, errors: list[str], details: Mapping[str, Any] | None = None
    ) -> None:
        """Take the message, the lines and the details."""
        super().__init__(message)
        self.errors = errors
        self.details = details


def install_problem_handlers(app: Flask, problems: Mapping[type[Exception], Problem]) -> None:
    """Answer each exception of `problems`, each refused body and each crash as problem+json."""

    def answer_ours(error: Exception) -> Response:
        problem = find_problem(error, problems)
        details = (error.errors, error.details) if isinstance(error, ExplainedError) else ()
        response = problem_response(problem.status, problem.title, str(error), *details)
        if problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response

    for kind in problems:
        app.register_error_handler(kind, answer_ours)
    app.register_error_handler(ValidationError, _answer_validation)
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, _answer_crash)


def find_problem(error: Exception, problems: Mapping[type[Exception], Problem]) -> Problem:
    """Return the problem of `error`; an unknown error is an internal one."""
    known = (problems[kind] for kind in type(error).__mro__ if kind in problems)
    return next(known, Problem(500, "Internal Server Error"))


def answer_http_exception(error: HTTPException) -> Response:
    """Answer an exception of Flask or webargs; a refused body names every field."""
    messages = getattr(error, "data", {}).get("messages")
    if messages:
        return _invalid(messages)
    response = problem_response(error.code or 500, error.name, error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def problem_response(
    status: int,
    title: str,
    detail: str,
    errors: list[str] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Response:
    """Return a problem+json answer; `error`, `message`, `success` serve the original's clients."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "error": detail,
        "message": detail,
        "success": False,
    }
    if errors:
        body["errors"] = errors
    if details:
        body["details"] = details
    return Response(json.dumps(body), status, content_type=PROBLEM_JSON)


def flatten_messages(messages: object, path: str = "") -> Iterator[str]:
    """Yield marshmallow's nested messages as lines: `pushSequence[0].title: Missing …`."""
    if isinstance(messages, Mapping):
        for key, value in messages.items():
            yield from flatten_messages(value, _join(path, key))
    elif isinstance(messages, list):
        for value in messages:
            yield from flatten_messages(value, path)
    else:
        yield f"{path}: {messages}" if path else str(messages)


def _join(path: str, key: object) -> str:
    if key == "_schema" or (not path and key in {"json", "query", "form", "files"}):
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def _answer_validation(error: ValidationError) -> Response:
    return _invalid(error.messages)


def _invalid(messages: object) -> Response:
    errors = list(flatten_messages(messages))
    return problem_response(400, "Bad Request", "; ".join(errors), errors)


def _answer_crash(error: Exception) -> Response:
    log.error("request_crashed", exc_info=error)
    return problem_response(
        500, "Internal Server Error", "The service failed on this request; its log says why."
    )
