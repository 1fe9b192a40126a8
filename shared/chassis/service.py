"""The frame of a service: OpenAPI, problems and tokens around its blueprints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from flask import Flask, Request, Response, request
from flask_smorest import Api, Blueprint
from marshmallow import Schema, missing
from webargs.flaskparser import FlaskParser, abort, is_json_request
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from chassis.abandoned import AbandonedRequests, ClientGoneError
from chassis.bearer_auth import (
    NO_SIDE_DOOR,
    FindCaller,
    SideDoor,
    View,
    needs_no_token,
    require_token,
)
from chassis.correlation import trace_requests
from chassis.gzip_bodies import GzipBodies
from chassis.metrics import time_requests
from chassis.problems import (
    PROBLEM_JSON,
    Problem,
    ProblemSchema,
    answer_http_exception,
    install_problem_handlers,
)
from chassis.security_headers import install_security_headers

#: As nginx writes it down; nobody reads it.
_GONE: Final = Problem(499, "Client gone")
#: What is told of as text; anything else as an object.
_PLAIN: Final = {"text/csv", "text/plain"}


class StrictParser(FlaskParser):
    """Reads JSON strictly, and answers a body that does not fit with 400, as the original did."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 - webargs' own
        """Return the body, read as strictly as answers are written: no NaN, no lone surrogates."""
        body = req.get_data(cache=True)
        if not body or not is_json_request(req):
            return missing
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            abort(400, exc=error, messages={"json": [f"Invalid JSON body: {error}."]})


class Routes(Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """A flask-smorest blueprint whose refused bodies are 400."""

    ARGUMENTS_PARSER = StrictParser()

    def answers(
        self, status: int = 200, content_type: str = "application/json"
    ) -> Callable[[View], View]:
        """Tell in OpenAPI of an answer that the route makes itself, whatever is in it."""
        shape = {"type": "string" if content_type in _PLAIN else "object"}
        told: Callable[[View], View]
        told = self.alt_response(status, schema=shape, content_type=content_type)
        return told


class ProblemApi(Api):  # type: ignore[misc]  # flask-smorest ships no types
    """flask-smorest, with its errors told, and told of in OpenAPI, as problem+json."""

    ERROR_SCHEMA = ProblemSchema

    def _register_responses(self) -> None:
        self.DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM_JSON
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer as the rest of the service does."""
        return answer_http_exception(error)


@dataclass(frozen=True, slots=True)
class ServiceFrame:
    """What differs between services: title, version, OpenAPI's path, ways in, problems."""

    title: str
    version: str
    openapi_path: str
    find_caller: FindCaller
    problems: Mapping[type[Exception], Problem]
    side_door: SideDoor = NO_SIDE_DOOR


def frame_service(app: Flask, frame: ServiceFrame, behind_proxies: int = 0) -> ProblemApi:
    """Put tokens, problems and OpenAPI around `app`; register blueprints on the answer.

    Shape: `behind_proxies` is how many proxies in front are believed about address and scheme.
    """
    folder, _, name = frame.openapi_path.rpartition("/")
    app.config.update(
        API_TITLE=frame.title,
        API_VERSION=frame.version,
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX=folder or "/",
        OPENAPI_JSON_PATH=name,
        API_SPEC_OPTIONS={
            "security": [{"bearer": []}],
            "components": {
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        },
    )
    install_security_headers(app)
    trace_requests(app)
    time_requests(app)
    api = ProblemApi(app)
    document = partial(app.view_functions["api-docs.openapi_json"])
    app.view_functions["api-docs.openapi_json"] = needs_no_token(document)
    require_token(app, frame.find_caller, frame.side_door)
    app.wsgi_app = GzipBodies(app.wsgi_app, app.config["MAX_CONTENT_LENGTH"])  # type: ignore[method-assign]  # Flask's own way
    n = behind_proxies
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]  # likewise
    app.wsgi_app = AbandonedRequests(app.wsgi_app)  # type: ignore[method-assign]  # likewise
    app.before_request(_refuse_nul)
    install_problem_handlers(app, {**frame.problems, ClientGoneError: _GONE})
    return api


def _refuse_nul() -> None:
    """Refuse the one character that PostgreSQL keeps in no text."""
    is_in_json = request.is_json and b"\\u0000" in request.get_data()
    if is_in_json or "\x00" in request.path or b"%00" in request.query_string:
        raise BadRequest("Texts may not hold the character NUL (U+0000); leave it out.")
