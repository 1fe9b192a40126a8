"""Bearer tokens with roles: every route asks for one, unless it is named as open."""

import hmac
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, TypeVar

from flask import Flask, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

_CHALLENGE: Final = WWWAuthenticate("bearer")

View = TypeVar("View", bound=Callable[..., object])


class Role(IntEnum):
    """What a token may do; each role may do all that the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


def asks_for(role: Role) -> Callable[[View], View]:
    """Mark a view with the role it needs, where that is not the usual one of its method."""

    def mark(view: View) -> View:
        view.required_role = role  # type: ignore[attr-defined]  # read by required_role() below
        return view

    return mark


def needs_no_token(view: View) -> View:
    """Mark a view that answers to everybody."""
    view.needs_no_token = True  # type: ignore[attr-defined]  # read by is_open() below
    return view


def require_bearer_token(app: Flask, roles: Mapping[str, Role]) -> None:
    """Refuse every request without a token of a sufficient role, except to open views.

    Shape: `roles` maps a token to its role. A route that says nothing asks for viewer when it
    reads (GET, HEAD) and for admin when it does anything else.
    """

    @app.before_request
    def check() -> None:
        if request.endpoint is None or is_open(app, request.endpoint):
            return
        role = _role_of(request.headers.get("Authorization", ""), roles)
        if role is None:
            raise Unauthorized(
                "Send the header 'Authorization: Bearer <token>' with a valid token.",
                www_authenticate=_CHALLENGE,
            )
        needed = required_role(app, request.endpoint, request.method)
        if role < needed:
            raise Forbidden(
                f"This token is a {role.name.lower()}'s; {needed.name.lower()} is asked."
            )


def is_open(app: Flask, endpoint: str) -> bool:
    """Return whether the view of `endpoint` answers to everybody."""
    return getattr(app.view_functions[endpoint], "needs_no_token", False)


def required_role(app: Flask, endpoint: str, method: str) -> Role:
    """Return the role that `method` of `endpoint` asks for."""
    usual = Role.VIEWER if method in {"GET", "HEAD", "OPTIONS"} else Role.ADMIN
    return getattr(app.view_functions[endpoint], "required_role", usual)


def _role_of(header: str, roles: Mapping[str, Role]) -> Role | None:
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    found = [
        role
        for token, role in roles.items()
        if hmac.compare_digest(token.encode(), given.strip().encode())
    ]
    return max(found, default=None)
