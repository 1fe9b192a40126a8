"""Apps in the hands of users: what an identity token reaches, how often, and from which pages."""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from flask import Flask, Response, current_app, request
from marshmallow import fields, missing
from werkzeug.exceptions import Forbidden, HTTPException

from chassis.bearer_auth import Caller, app_use, the_caller, user_of_caller
from chassis.http.guesses import refuse_excess
from chassis.http.rate_limits import Limit, RateLimiter, network_of
from push_blaster.web.frame.csrf import READS

log = structlog.get_logger()

#: What one user may ask for, and all users behind one address, of each process.
OF_USER: Final = Limit(requests=120, window=timedelta(minutes=1))
OF_ADDRESS: Final = Limit(requests=3_000, window=timedelta(minutes=1))
#: How long a browser remembers the answer to its question, in seconds.
_REMEMBERED: Final = "3600"
#: The header by which a browser asks before it lets a page call.
_WANTED: Final = "Access-Control-Request-Method"
#: Who may call, for OpenAPI, where users may.
TOKENS_OR_USERS: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"identityToken": []}]


class AllowedOrigins:
    """The pages of other sites that may call what users may use; the own pages always may."""

    def __init__(self, origins: Collection[str]) -> None:
        """Take the origins, such as https://shop.example.com."""
        self._origins = frozenset(origins)

    def answer_preflight(self) -> Response | None:
        """Answer a browser that asks whether a page may call a route; None for other requests."""
        if request.method != "OPTIONS" or _WANTED not in request.headers or not _is_for_users():
            return None
        self.refuse_foreign()
        response = Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = request.headers[_WANTED]
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = _REMEMBERED
        return response

    def refuse_foreign(self) -> None:
        """Refuse a request of a page that may not call; Forbidden names the page's origin."""
        origin = request.headers.get("Origin")
        if origin is not None and not self._allows(origin):
            raise Forbidden(
                f"Pages of {origin[:100]!r} may not call this: the origin is not in "
                "PUSH_ALLOWED_ORIGINS."
            )

    def let_page_read(self, response: Response) -> Response:
        """Let the page that asked read the answer, if its origin is allowed."""
        if _is_for_users():
            response.vary.add("Origin")
            origin = request.headers.get("Origin")
            if origin is not None and self._allows(origin):
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        return response

    def _allows(self, origin: str) -> bool:
        return origin in self._origins or origin == request.host_url.rstrip("/")


def bound_identity_callers(origins: AllowedOrigins) -> Callable[[Caller], None]:
    """Return what refuses foreign pages, and users who ask too often, whatever they ask for."""
    of_user, of_address = RateLimiter(OF_USER), RateLimiter(OF_ADDRESS)

    def bound(caller: Caller) -> None:
        if caller.user_id is None:
            return
        _limit(of_user, caller.subject, "this user")
        _limit(of_address, network_of(request.remote_addr), "this address")
        origins.refuse_foreign()

    return bound


def answer_identity_callers(app: Flask, origins: AllowedOrigins) -> None:
    """Log what users change, and let the pages of allowed origins read the answers."""

    @app.after_request
    def answer(response: Response) -> Response:
        caller = the_caller()
        if caller and caller.user_id and request.method not in READS:
            by, endpoint = caller.name, request.endpoint
            log.info("user_asked", by=by, endpoint=endpoint, status=response.status_code)
        return origins.let_page_read(response)


def require_own(user_id: UUID, field: str = "userId") -> UUID:
    """Return the user whom a request names; Forbidden if an identity token is another user's."""
    if user_of_caller() not in {None, user_id}:
        raise Forbidden(
            f"{field}: is another user than the sub of your identity token. Leave {field} out, or "
            "name the same user."
        )
    return user_id


class UserIdField(fields.UUID):
    """A user id; of the caller of an identity token the own one, which need not be said."""

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kw: Any
    ) -> Any:
        """Return the user; Forbidden if it is not the user of the identity token."""
        own = user_of_caller()
        if own and value is missing:
            return own
        user: UUID | None = super().deserialize(value, attr, data, **kw)
        return require_own(user, self.data_key or str(attr)) if user else own


def _limit(limiter: RateLimiter, key: str, whose: str) -> None:
    usage = limiter.take(key, time.monotonic())
    refuse_excess(usage, f"Too many requests came from {whose}. Send this one again later.")


def _is_for_users() -> bool:
    """Return whether users may use the route of this request, or the one that a browser asks of."""
    endpoint = request.endpoint
    if request.method == "OPTIONS" and _WANTED in request.headers:
        try:
            routes = current_app.url_map.bind("")
            endpoint, _ = routes.match(request.path, request.headers[_WANTED])
        except HTTPException:
            return False
    return app_use(current_app.view_functions.get(endpoint or "")).users
