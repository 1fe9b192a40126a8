"""Tokens with roles: every route asks for one, unless it is named as open.

A token comes as a bearer header; a service may know another way in beside that, such as a session.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn, TypeVar

import structlog
from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

log = structlog.get_logger()

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CALLER: Final = "chassis.caller"
_CHALLENGE: Final = WWWAuthenticate("bearer")

View = TypeVar("View", bound=Callable[..., object])


class Role(IntEnum):
    """What a token may do; each role may do all that the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request: what their token is called, and what it may do.

    Shape: who `only_simulates` may change nothing, except by views that are marked `simulates`.
    """

    name: str
    role: Role
    only_simulates: bool = False


FindCaller = Callable[[str], Caller | None]


@dataclass(frozen=True, slots=True)
class SideDoor:
    """Another way in than by bearer token: who sends the request, and how one is sent away.

    Shape: `turn_away` may answer the request of somebody unknown; None leaves it at 401.
    """

    find_caller: Callable[[], Caller | None]
    turn_away: Callable[[], ResponseReturnValue | None]


NO_SIDE_DOOR: Final = SideDoor(find_caller=lambda: None, turn_away=lambda: None)


def asks_for(role: Role) -> Callable[[View], View]:
    """Mark a view with the role it needs, where that is not the usual one of its method."""

    def mark(view: View) -> View:
        view.required_role = role  # type: ignore[attr-defined]  # read by required_role() below
        return view

    return mark


def simulates(view: View) -> View:
    """Mark a view by which a test token may start a simulation, or act on one."""
    view.simulates = True  # type: ignore[attr-defined]  # read by _refuse_changes() below
    return view


def needs_no_token(view: View) -> View:
    """Mark a view that answers to everybody."""
    view.needs_no_token = True  # type: ignore[attr-defined]  # read by is_open() below
    return view


def require_token(app: Flask, find_caller: FindCaller, side_door: SideDoor) -> None:
    """Refuse every request without a token of a sufficient role, except to open views.

    A route that says nothing asks for viewer when it reads (GET, HEAD) and for admin when it does
    anything else.
    """

    @app.before_request
    def check() -> ResponseReturnValue | None:
        if request.endpoint is None or is_open(app, request.endpoint):
            return None
        header = request.headers.get("Authorization", "")
        caller = _read_bearer(header, find_caller) if header else side_door.find_caller()
        if caller is None:
            return side_door.turn_away() or _challenge()
        remember_caller(caller)
        needed = required_role(app, request.endpoint, request.method)
        if caller.role < needed:
            log.warning("request_forbidden", by=caller.name, endpoint=request.endpoint)
            raise Forbidden(
                f"This token is a {caller.role.name.lower()}'s; {needed.name.lower()} is asked."
            )
        if caller.only_simulates and request.method not in _READS:
            _refuse_changes(app, request.endpoint)
        return None


def remember_caller(caller: Caller) -> None:
    """Keep who sends this request, for whoever asks later on."""
    request.environ[_CALLER] = caller


def the_caller() -> Caller | None:
    """Return who sends this request; None where everybody may."""
    caller: Caller | None = request.environ.get(_CALLER)
    return caller


def caller_name() -> str:
    """Return how whoever sends this request is called."""
    caller = the_caller()
    return caller.name if caller else "somebody unknown"


def caller_only_simulates() -> bool:
    """Return whether whatever this request starts is to be simulated."""
    caller = the_caller()
    return caller is not None and caller.only_simulates


def knows(roles: Mapping[str, Role]) -> FindCaller:
    """Return what finds the caller of a token among `roles`, each called as its role is.

    It takes a time that tells nothing of the known tokens.
    """

    def find(token: str) -> Caller | None:
        found = [
            role
            for known, role in roles.items()
            if hmac.compare_digest(known.encode(), token.encode())
        ]
        return Caller(max(found).name.lower(), max(found)) if found else None

    return find


def is_open(app: Flask, endpoint: str) -> bool:
    """Return whether the view of `endpoint` answers to everybody."""
    return getattr(app.view_functions[endpoint], "needs_no_token", False)


def required_role(app: Flask, endpoint: str, method: str) -> Role:
    """Return the role that `method` of `endpoint` asks for."""
    usual = Role.VIEWER if method in _READS else Role.ADMIN
    return getattr(app.view_functions[endpoint], "required_role", usual)


def _refuse_changes(app: Flask, endpoint: str) -> None:
    if not getattr(app.view_functions[endpoint], "simulates", False):
        raise Forbidden("A test token starts simulations, and changes nothing else.")


def _challenge() -> NoReturn:
    raise Unauthorized(
        "Send the header 'Authorization: Bearer <token>' with a valid token.",
        www_authenticate=_CHALLENGE,
    )


def _read_bearer(header: str, find_caller: FindCaller) -> Caller | None:
    scheme, _, given = header.partition(" ")
    return find_caller(given.strip()) if scheme.lower() == "bearer" else None
