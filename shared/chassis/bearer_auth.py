"""Tokens with roles: every route needs one, unless it is marked as open.

A token comes as a bearer header; a service may accept sessions beside tokens.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

import structlog
from flask import Flask, Response, copy_current_request_context, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from chassis.health import NoAnswerError, ShortQuestions
from chassis.http.guesses import TOO_MANY, GuessLimit, refuse_excess
from chassis.http.request_classes import CAPACITIES, RequestClass, request_class
from chassis.postgres import DatabaseAwayError, DatabaseFaultError

log = structlog.get_logger()

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CALLER: Final = "chassis.caller"
_UNCHECKED: Final = "chassis.unchecked"
#: Health answers within 2 s, so it waits for the caller of a token only so long.
_SHORTLY: Final = ShortQuestions(answer_s=0.3)
#: The classes whose threads nobody may keep by unknown tokens or cookies while the database hangs.
SHORTLY: Final = {
    RequestClass.OPEN: _SHORTLY,
    RequestClass.STOP: ShortQuestions(answer_s=2, most=CAPACITIES[RequestClass.STOP].threads),
}
_CHALLENGE: Final = WWWAuthenticate("bearer")

View = TypeVar("View", bound=Callable[..., object])


class Role(IntEnum):
    """What a token may do; each role may do everything that the roles before it may do.

    An app may use only what is marked by `for_apps`, which not every greater role may use.
    """

    APP = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: the name and the role of the token.

    Shape: a caller that `only_simulates` may only use views that read or are marked `simulates`.
    The name of a caller that `is_personal` is that of a person or a team, and not of a token only.
    `subject` stays the same if the name changes; two callers never have the same one. A caller with
    a `user_id` is an app in the hands of this user, and may reach nothing of another user.
    """

    name: str
    role: Role
    only_simulates: bool = False
    is_personal: bool = False
    subject: str = ""
    user_id: UUID | None = None


FindCaller = Callable[[str], Caller | None]


class TokenRefusedError(Exception):
    """A token is refused for a reason that its sender may know.

    Shape: `is_guess` says that the token may be forged, so that it counts as an unknown token.
    """

    def __init__(self, message: str, *, is_guess: bool) -> None:
        """Take the message, and whether the token may be forged."""
        super().__init__(message)
        self.is_guess = is_guess


@dataclass(frozen=True, slots=True)
class AppUse:
    """Which apps may use a view, and whether an audit log has each use by an app."""

    tokens: bool = False
    users: bool = False
    audited: bool = True

    def allows(self, caller: Caller) -> bool:
        """Return whether the caller is such an app."""
        return caller.role is Role.APP and (self.users if caller.user_id else self.tokens)


_NO_APPS: Final = AppUse()


@dataclass(frozen=True, slots=True)
class SessionAuthentication:
    """Authentication by a session, for requests without a bearer token.

    Shape: `answer_unknown` may answer a request without a session; None answers 401. `asks` names
    what has to answer before anybody can tell who calls.
    """

    find_caller: Callable[[], Caller | None]
    answer_unknown: Callable[[], ResponseReturnValue | None]
    asks: str = "the database"


def find_nobody(_token: str) -> None:
    """Find no caller."""


def bound_nobody(_caller: Caller) -> None:
    """Refuse no caller."""


NO_SESSIONS: Final = SessionAuthentication(find_caller=lambda: None, answer_unknown=lambda: None)


def asks_for(role: Role, *, simulates: bool = False) -> Callable[[View], View]:
    """Mark a view with the role that it needs, if its method usually needs another one.

    Shape: a view that `simulates` may be used by a test token, to start a simulation or to act on
    one.
    """

    def mark(view: View) -> View:
        view.required_role = role  # type: ignore[attr-defined]  # read by required_role() below
        view.simulates = simulates  # type: ignore[attr-defined]  # read by _refuse_changes() below
        return view

    return mark


def for_apps(
    *, tokens: bool = True, users: bool = True, audited: bool = True
) -> Callable[[View], View]:
    """Mark a view that apps may use, too: with `tokens` of role app, or in the hands of `users`.

    Shape: a view that is not `audited` is called too often by apps to be in an audit log.
    """

    def mark(view: View) -> View:
        view.for_apps = AppUse(tokens, users, audited)  # type: ignore[attr-defined]  # read by app_use() below
        return view

    return mark


def app_use(view: object) -> AppUse:
    """Return which apps may use a view."""
    return getattr(view, "for_apps", _NO_APPS)


def needs_no_token(view: View) -> View:
    """Mark a view that answers without a token."""
    view.needs_no_token = True  # type: ignore[attr-defined]  # read by is_open() below
    return view


def tells_callers_more(view: View) -> View:
    """Mark a view that answers without a token, and says more to a caller with a token."""
    view.tells_callers_more = True  # type: ignore[attr-defined]  # read by require_token() below
    return needs_no_token(view)


def answer_in_a_word(body: Mapping[str, Any], status_code: int) -> Response:
    """Answer such a view: the `body` to a caller with a token, to a stranger only its `status`.

    A caller whose token could not be checked learns that.
    """
    word = {"status": body["status"]}
    if _UNCHECKED in request.environ:
        word["message"] = (
            "Only the status is shown: the database does not answer, so nobody can tell whose "
            "token this is. A token of the environment shows everything."
        )
    response = jsonify(body if the_caller() else word)
    response.status_code = status_code
    return response


def require_token(
    app: Flask,
    find_caller: FindCaller,
    sessions: SessionAuthentication,
    guesses: GuessLimit,
    find_at_once: FindCaller = find_nobody,
    bound: Callable[[Caller], None] = bound_nobody,
) -> None:
    """Refuse every request without a token of a sufficient role, except to open views.

    A route without a mark needs a viewer when it reads (GET, HEAD) and an admin otherwise.
    A valid token always passes; an unknown one counts as a guess. `find_at_once` finds callers
    without the database, so nothing that hangs delays them. `bound` refuses callers who ask too
    often, for what they may not have, too.
    """

    @app.before_request
    def check() -> ResponseReturnValue | None:
        header = request.headers.get("Authorization", "")
        known = _read_bearer(header, find_at_once)
        find = partial(_read_bearer, header, find_caller) if header else sessions.find_caller
        if request.endpoint is None or is_open(app, request.endpoint):
            if _tells_callers_more(app):
                _greet(known, find)
            return None
        try:
            caller = known or _find(app, find, sessions.asks)
        except TokenRefusedError as refused:
            _refuse_token(refused, guesses, header)
        if caller is None:
            _count_guess(guesses, header)
            return sessions.answer_unknown() or _challenge()
        remember_caller(caller)
        bound(caller)
        _check_role(app, request.endpoint, caller)
        return None


def _refuse_token(refused: TokenRefusedError, guesses: GuessLimit, header: str) -> NoReturn:
    if refused.is_guess:
        _count_guess(guesses, header)
    challenge = WWWAuthenticate("bearer", {"error": "invalid_token"})
    raise Unauthorized(str(refused), www_authenticate=challenge) from refused


def _find(app: Flask, find: Callable[[], Caller | None], asks: str) -> Caller | None:
    """Return the caller; what shares threads with health or stops waits only shortly for it."""
    kind = request_class(app.view_functions[request.endpoint or ""])
    if kind not in SHORTLY:
        return find()
    try:
        return SHORTLY[kind].ask(copy_current_request_context(find))
    except NoAnswerError as error:
        raise DatabaseAwayError(
            f"The token or the session cannot be checked: {asks} does not answer."
        ) from error


def _check_role(app: Flask, endpoint: str, caller: Caller) -> None:
    needed = required_role(app, endpoint, request.method)
    if caller.role < needed and not app_use(app.view_functions[endpoint]).allows(caller):
        log.warning("request_forbidden", by=caller.name, endpoint=endpoint)
        raise Forbidden(
            f"Your role is {caller.role.name.lower()}; {needed.name.lower()} is needed."
        )
    if caller.only_simulates and request.method not in _READS:
        _refuse_changes(app, endpoint)


def _tells_callers_more(app: Flask) -> bool:
    """Return whether an open view, or the page about an unknown address, differs for callers.

    Only a session counts at an unknown address, so that nobody guesses tokens there.
    """
    if request.endpoint is None:
        return request.method in _READS and "Authorization" not in request.headers
    return hasattr(app.view_functions[request.endpoint], "tells_callers_more")


def _greet(known: Caller | None, find: Callable[[], Caller | None]) -> None:
    """Remember the caller of a view that tells callers more; without a token, it is a stranger."""
    try:
        caller = known or _SHORTLY.ask(copy_current_request_context(find))
    except TokenRefusedError:
        return
    except (DatabaseAwayError, DatabaseFaultError, NoAnswerError):
        note_unchecked()
        return
    if caller and caller.role > Role.APP:
        remember_caller(caller)


def note_unchecked() -> None:
    """Note that nobody can tell at present who calls."""
    request.environ[_UNCHECKED] = True


def remember_caller(caller: Caller) -> None:
    """Keep the caller of this request for `the_caller`."""
    request.environ[_CALLER] = caller


def the_caller() -> Caller | None:
    """Return the caller of this request; None for a view that is open."""
    caller: Caller | None = request.environ.get(_CALLER)
    return caller


def user_of_caller() -> UUID | None:
    """Return the user who holds the app that calls; None of every other caller."""
    caller = the_caller()
    return caller.user_id if caller else None


def caller_name() -> str:
    """Return the name of the caller of this request."""
    caller = the_caller()
    return caller.name if caller else "somebody unknown"


def name_of_caller(claimed: str) -> str:
    """Return who does this; only a caller without the name of a person may claim a name."""
    caller = the_caller()
    return caller_name() if caller and caller.is_personal else claimed.strip() or caller_name()


def caller_only_simulates() -> bool:
    """Return whether everything that this request starts must be a simulation."""
    caller = the_caller()
    return caller is not None and caller.only_simulates


def knows(roles: Mapping[str, Role]) -> FindCaller:
    """Return a function that finds the caller of a token in `roles`, named as the role.

    Its time does not depend on how much of a token is right.
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
    """Return whether the view of `endpoint` answers without a token."""
    return getattr(app.view_functions[endpoint], "needs_no_token", False)


def required_role(app: Flask, endpoint: str, method: str) -> Role:
    """Return the role that `method` of `endpoint` needs."""
    usual = Role.VIEWER if method in _READS else Role.ADMIN
    return getattr(app.view_functions[endpoint], "required_role", usual)


def _refuse_changes(app: Flask, endpoint: str) -> None:
    if not getattr(app.view_functions[endpoint], "simulates", False):
        raise Forbidden("A test token may start simulations, and change nothing else.")


def _count_guess(guesses: GuessLimit, header: str) -> None:
    if header:
        refuse_excess(guesses.count(), TOO_MANY)


def _challenge() -> NoReturn:
    raise Unauthorized(
        "Send the header 'Authorization: Bearer <token>' with a valid token.",
        www_authenticate=_CHALLENGE,
    )


def _read_bearer(header: str, find_caller: FindCaller) -> Caller | None:
    scheme, _, given = header.partition(" ")
    return find_caller(given.strip()) if scheme.lower() == "bearer" else None
