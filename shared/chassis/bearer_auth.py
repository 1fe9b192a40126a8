"""Tokens with roles: every route asks for one, unless it is named as open.

A token comes as a bearer header; a service may know another way in beside that, such as a session.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn, TypeVar

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

_CHALLENGE: Final = WWWAuthenticate("bearer")

View = TypeVar("View", bound=Callable[..., object])


class Role(IntEnum):
    """What a token may do; each role may do all that the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class SideDoor:
    """Another way in than by bearer token: whose role the request has, and how one is sent away.

    Shape: `turn_away` may answer the request of somebody without a role; None leaves it at 401.
    """

    find_role: Callable[[], Role | None]
    turn_away: Callable[[], ResponseReturnValue | None]


NO_SIDE_DOOR: Final = SideDoor(find_role=lambda: None, turn_away=lambda: None)


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


def require_token(app: Flask, roles: Mapping[str, Role], side_door: SideDoor) -> None:
    """Refuse every request without a token of a sufficient role, except to open views.

    Shape: `roles` maps a token to its role. A route that says nothing asks for viewer when it
    reads (GET, HEAD) and for admin when it does anything else.
    """

    @app.before_request
    def check() -> ResponseReturnValue | None:
        if request.endpoint is None or is_open(app, request.endpoint):
            return None
        header = request.headers.get("Authorization", "")
        role = _role_of(header, roles) if header else side_door.find_role()
        if role is None:
            return side_door.turn_away() or _challenge()
        needed = required_role(app, request.endpoint, request.method)
        if role < needed:
            raise Forbidden(
                f"This token is a {role.name.lower()}'s; {needed.name.lower()} is asked."
            )
        return None


def find_role(token: str, roles: Mapping[str, Role]) -> Role | None:
    """Return the role of `token`, in a time that tells nothing of the known ones."""
    found = [
        role for known, role in roles.items() if hmac.compare_digest(known.encode(), token.encode())
    ]
    return max(found, default=None)


def is_open(app: Flask, endpoint: str) -> bool:
    """Return whether the view of `endpoint` answers to everybody."""
    return getattr(app.view_functions[endpoint], "needs_no_token", False)


def required_role(app: Flask, endpoint: str, method: str) -> Role:
    """Return the role that `method` of `endpoint` asks for."""
    usual = Role.VIEWER if method in {"GET", "HEAD", "OPTIONS"} else Role.ADMIN
    return getattr(app.view_functions[endpoint], "required_role", usual)


def _challenge() -> NoReturn:
    raise Unauthorized(
        "Send the header 'Authorization: Bearer <token>' with a valid token.",
        www_authenticate=_CHALLENGE,
    )


def _role_of(header: str, roles: Mapping[str, Role]) -> Role | None:
    scheme, _, given = header.partition(" ")
    return find_role(given.strip(), roles) if scheme.lower() == "bearer" else None
