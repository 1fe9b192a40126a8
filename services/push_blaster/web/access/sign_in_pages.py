"""The pages for signing in and out: with a token, and through the identity provider."""

from collections.abc import Mapping
from typing import Final

import structlog
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from chassis.bearer_auth import Role, asks_for, needs_no_token
from chassis.http.guesses import GuessLimit, when_to_retry
from chassis.http.request_classes import RequestClass, of_class
from push_blaster.adapters.access.identity_provider import IdentityRefusedError
from push_blaster.adapters.access.provider_http import IdentityProviderAwayError
from push_blaster.domain.access.person import BadIdentityError
from push_blaster.identity_settings import RETURN_PATH
from push_blaster.use_cases.access.sign_in_people import NoRoleError
from push_blaster.web.access.session import Sessions
from push_blaster.web.frame.csrf import is_foreign
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.own_paths import own_path
from push_blaster.web.frame.template_filters import span

log = structlog.get_logger()

#: The longest code of an identity provider that is read.
LONGEST_CODE: Final = 4_096
_AWAY: Final = (
    "The identity provider gives no usable answer. Try again later, or sign in with a token. The "
    "log of this system says what is wrong."
)
_OTHER_BROWSER: Final = (
    "This sign-in began in another browser or tab, or more than 10 minutes ago. Sign in again."
)
_NOT_PROVED: Final = (
    "The identity provider did not prove who you are. Sign in again. If that does not help, tell "
    "an administrator; the log of this system says what is wrong."
)
_STOPPED: Final = "The identity provider did not sign you in. Sign in again, or use a token."


_TOO_MANY: Final = "Too many attempts to sign in came from your address."
_TOO_MANY_TOKENS: Final = "Too many unknown tokens came from your address."


class StrayAnswerError(Exception):
    """The answer of the identity provider belongs to no sign-in that this browser has begun."""


class NotSignedInError(Exception):
    """The identity provider signs nobody in; the message is its reason."""


_FAULTS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    StrayAnswerError: (400, _OTHER_BROWSER),
    NotSignedInError: (401, _STOPPED),
    IdentityProviderAwayError: (503, _AWAY),
    IdentityRefusedError: (401, _NOT_PROVED),
    BadIdentityError: (401, _NOT_PROVED),
}


def sign_in_pages(sessions: Sessions, guesses: GuessLimit) -> Blueprint:
    """Return the pages that begin and end a session."""
    pages = page_routes("sign_in")

    @pages.get("/sign-in")
    @of_class(RequestClass.SIGN_IN)
    @needs_no_token
    def show() -> ResponseReturnValue:
        """Ask for a token, or offer the identity provider."""
        if sessions.read_caller():
            return redirect(_wanted())
        return _render(sessions)

    @pages.post("/sign-in")
    @of_class(RequestClass.SIGN_IN)
    @needs_no_token
    def begin() -> ResponseReturnValue:
        """Begin a session, and go to the requested page; a valid token always gets in."""
        if is_foreign():
            raise Forbidden("This form came from another site. Sign in on this page instead.")
        if sessions.sign_in(request.form.get("token", "").strip()):
            return redirect(_wanted(), 303)
        fault = "This token is unknown. Paste the whole token, without quotes or spaces."
        too_many = _find_too_many(sessions, guesses, "fault", _TOO_MANY_TOKENS)
        return too_many or (_render(sessions, fault=fault), 401)

    @pages.post("/sign-out")
    @of_class(RequestClass.SIGN_IN)
    @asks_for(Role.VIEWER, simulates=True)
    def end() -> ResponseReturnValue:
        """End the session of this browser."""
        sessions.sign_out()
        flash("You are signed out.", "success")
        wanted = request.form.get("next")
        return redirect(url_for(".show", next=own_path(wanted) if wanted else None), 303)

    _add_identity_provider(pages, sessions, guesses)
    return pages


def _add_identity_provider(pages: Blueprint, sessions: Sessions, guesses: GuessLimit) -> None:
    """Add the way to the identity provider, and back."""

    @pages.get("/sign-in/provider")
    @of_class(RequestClass.SIGN_IN)
    @needs_no_token
    def leave() -> ResponseReturnValue:
        """Send the browser to the identity provider."""
        if is_foreign():  # a link of another site begins nothing
            return redirect(url_for(".show", next=_wanted()), 303)
        try:
            return redirect(sessions.begin_attempt(_wanted()), 303)
        except IdentityProviderAwayError as error:
            log.warning("identity_provider_away", reason=str(error))
            return _render(sessions, provider_fault=_AWAY), 503

    @pages.get(RETURN_PATH)
    @of_class(RequestClass.SIGN_IN)
    @needs_no_token
    def come_back() -> ResponseReturnValue:
        """Begin a session of the person whom the identity provider sends back."""
        try:
            return redirect(_admit(sessions), 303)
        except NoRoleError as error:
            page = render_template("no_role.html", identity=error.identity)
            return _find_too_many(sessions, guesses, "provider_fault", _TOO_MANY) or (page, 403)
        except tuple(_FAULTS) as error:
            log.warning("sign_in_refused", reason=str(error)[:300])
            status, text = _FAULTS[type(error)]
            too_many = _find_too_many(sessions, guesses, "provider_fault", _TOO_MANY)
            return too_many or (_render(sessions, provider_fault=text), status)


def _render(sessions: Sessions, **faults: str) -> str:
    return render_template("sign_in.html", wanted=_wanted(), people=sessions.people, **faults)


def _admit(sessions: Sessions) -> str:
    """Begin a session of whom this request proves; return the page to go to."""
    given = request.args
    found = sessions.end_attempt(given.get("state", ""))
    if found is None:
        raise StrayAnswerError("the state is not one of this browser")
    attempt, wanted = found
    code = given.get("code", "")
    if "error" in given or not 0 < len(code) <= LONGEST_CODE:
        raise NotSignedInError(given.get("error", "the answer has no code that can be used"))
    sessions.sign_in_person(code, given.get("iss"), attempt)
    return own_path(wanted)


def _find_too_many(
    sessions: Sessions, guesses: GuessLimit, place: str, text: str
) -> ResponseReturnValue | None:
    """Count an attempt that failed; return the answer if there were too many."""
    usage = guesses.count()
    if not usage.is_over:
        return None
    page = _render(sessions, **{place: f"{text} Try again in {span(usage.wait)}."})
    return page, 429, {"Retry-After": str(when_to_retry(usage))}


def _wanted() -> str:
    """Return the page to go to; it is always one of ours."""
    return own_path(request.values.get("next", ""))
