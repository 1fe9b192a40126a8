"""The frame of a service: OpenAPI, problems and tokens around its blueprints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Final

from flask import Flask, Request, Response, request
from flask_smorest import Api, Blueprint
from marshmallow import Schema, missing
from webargs.flaskparser import FlaskParser, abort, is_json_request
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType
from werkzeug.middleware.proxy_fix import ProxyFix

from chassis.bearer_auth import (
    NO_SESSIONS,
    Caller,
    FindCaller,
    SessionAuthentication,
    View,
    bound_nobody,
    find_nobody,
    is_open,
    needs_no_token,
    require_token,
    the_caller,
    user_of_caller,
)
from chassis.client_disconnects import ClientGoneError, DisconnectWatch, SlowClientError
from chassis.http.bodies import RequestOfNamedFields, limit_strangers, limit_users, unpack_bodies
from chassis.http.correlation import trace_requests
from chassis.http.fast_json import read_json
from chassis.http.guesses import GuessLimit
from chassis.http.security_headers import install_security_headers
from chassis.metrics import time_requests
from chassis.problems import (
    PROBLEM_JSON,
    Problem,
    ProblemSchema,
    answer_http_exception,
    install_problem_handlers,
)
from chassis.typed_schemas import view_schema

#: The status that nginx logs for this; no client reads it.
_GONE: Final = Problem(499, "Client gone")
_TOO_SLOW: Final = Problem(408, "Too slow")
#: Content types that OpenAPI describes as text; all others are objects.
_PLAIN: Final = {"text/csv", "text/javascript", "text/plain"}


def describe_upload(
    file: str, form: type[Schema], *, is_required: bool = True
) -> Mapping[str, object]:
    """Return the content of a form for OpenAPI: a file, and the fields of `form` as texts."""
    names = [field.data_key or name for name, field in form().fields.items()]
    schema: dict[str, object] = {
        "type": "object",
        "properties": {
            file: {"type": "string", "format": "binary"},
            **{name: {"type": "string"} for name in names},
        },
    }
    required = {"required": [file]} if is_required else {}
    return {"multipart/form-data": {"schema": schema | required}}


class StrictParser(FlaskParser):
    """Reads JSON strictly, and answers 400 for a body that does not fit, as the original did."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 - webargs' own
        """Return the body; NaN and lone surrogates are refused, as answers never have them."""
        body = req.get_data(cache=True)
        if not body:
            return missing
        if not is_json_request(req):
            raise UnsupportedMediaType(
                "Send the body with the header Content-Type: application/json."
            )
        try:
            return read_json(body)
        except ValueError as error:
            abort(400, exc=error, messages={"json": [f"Invalid JSON body: {error}."]})


class Routes(Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """A flask-smorest blueprint that answers 400 for refused bodies."""

    ARGUMENTS_PARSER = StrictParser()

    def register_views_in_doc(self, api: "ProblemApi", *args: Any, **options: Any) -> None:
        """Describe the routes in OpenAPI, later."""
        api.postpone(partial(super().register_views_in_doc, api, *args, **options))

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Add a view; without another description of a success, it answers an object of JSON."""
        add: Callable[[View], View] = super().route(rule, **options)

        def describe(view: View) -> View:
            described = getattr(view, "_apidoc", {}).get("response", {}).get("responses", {})
            has_success = any(int(status) < 300 for status in described)
            return add(view if has_success else self.answers()(view))

        return describe

    def query(self, view: View) -> View:
        """Give a view its keyword-only parameters from the query."""
        schema = view_schema(view, view.__name__)
        take: Callable[[View], View]
        take = self.arguments(schema, location="query", as_kwargs=True)
        return take(view)

    def body(self, name: str, *, required: bool = True) -> Callable[[View], View]:
        """Return what gives a view its keyword-only parameters from a body of JSON.

        Shape: `name` is the name of the body in OpenAPI.
        """

        def take(view: View) -> View:
            schema = view_schema(view, name)
            described: View = self.arguments(schema, required=required, as_kwargs=True)(view)
            return described

        return take

    def answers(
        self, status: int = 200, content_type: str = "application/json"
    ) -> Callable[[View], View]:
        """Describe in OpenAPI an answer of any shape that the route makes itself."""
        shape = {"type": "string" if content_type in _PLAIN else "object"}
        describe: Callable[[View], View]
        describe = self.alt_response(status, schema=shape, content_type=content_type)
        return describe


class ProblemApi(Api):  # type: ignore[misc]  # flask-smorest ships no types
    """flask-smorest, which answers and describes its errors as problem+json.

    It describes routes when somebody asks for OpenAPI first: that takes longer than all else at a
    start.
    """

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask) -> None:
        """Take the app."""
        self._describing = Lock()
        self._postponed: list[Callable[[], object]] = []
        super().__init__(app)

    def postpone(self, describe: Callable[[], object]) -> None:
        """Call `describe` before OpenAPI is answered."""
        self._postponed.append(describe)

    def read_document(self) -> Mapping[str, Any]:
        """Return the OpenAPI document."""
        with self._describing:
            self._describe_all()
            document: Mapping[str, Any] = self.spec.to_dict()
        return document

    def _openapi_json(self) -> Response:
        with self._describing:
            self._describe_all()
            answer: Response = super()._openapi_json()
        return answer

    def _describe_all(self) -> None:
        for describe in self._postponed:
            describe()
        self._postponed.clear()

    def _register_responses(self) -> None:
        self.DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM_JSON
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer as the rest of the service does."""
        return answer_http_exception(error)


@dataclass(frozen=True, slots=True)
class ServiceFrame:
    """The differences between services: title, version, path of OpenAPI, callers, problems.

    Shape: `answer_preflight` answers the question of a browser whether a page may call a route, or
    None to other requests. `bound` refuses callers who ask too often. `schemes` are security
    schemes for OpenAPI, beside that of tokens.
    """

    title: str
    version: str
    openapi_path: str
    find_caller: FindCaller
    problems: Mapping[type[Exception], Problem]
    sessions: SessionAuthentication = NO_SESSIONS
    guesses: GuessLimit = field(default_factory=GuessLimit)
    find_at_once: FindCaller = find_nobody
    bound: Callable[[Caller], None] = bound_nobody
    answer_preflight: Callable[[], Response | None] = lambda: None
    schemes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def frame_service(app: Flask, frame: ServiceFrame, behind_proxies: int = 0) -> ProblemApi:
    """Put tokens, problems and OpenAPI around `app`; register blueprints on the answer.

    Shape: `behind_proxies` is how many proxies in front are trusted for address and scheme.
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
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    **frame.schemes,
                },
            },
        },
    )
    app.request_class = RequestOfNamedFields
    install_security_headers(app)
    trace_requests(app)
    time_requests(app)
    api = ProblemApi(app)
    document = partial(app.view_functions["api-docs.openapi_json"])
    app.view_functions["api-docs.openapi_json"] = needs_no_token(document)
    limit_strangers(app, partial(is_open, app))
    app.before_request(frame.answer_preflight)
    require_token(
        app, frame.find_caller, frame.sessions, frame.guesses, frame.find_at_once, frame.bound
    )
    limit_users(app, lambda: user_of_caller() is not None)
    unpack_bodies(app, lambda: the_caller() is not None)
    n = behind_proxies
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]  # Flask's own way
    app.wsgi_app = DisconnectWatch(app.wsgi_app)  # type: ignore[method-assign]  # likewise
    app.before_request(_refuse_nul)
    own = {ClientGoneError: _GONE, SlowClientError: _TOO_SLOW}
    install_problem_handlers(app, {**frame.problems, **own})
    return api


def _refuse_nul() -> None:
    """Refuse the one character that a text in PostgreSQL cannot have."""
    is_read = request.endpoint is not None and request.is_json
    is_in_json = is_read and b"\\u0000" in request.get_data()
    is_in_headers = any("\x00" in value for value in request.headers.values())
    if is_in_json or is_in_headers or "\x00" in request.path or b"%00" in request.query_string:
        raise BadRequest("Texts may not hold the character NUL (U+0000); leave it out.")
