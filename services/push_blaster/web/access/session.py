"""Signing in to the pages: a session cookie for a token, checked at every request."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from flask import Flask, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from chassis.bearer_auth import Caller, SessionAuthentication, remember_caller
from push_blaster.domain.access.token import fingerprint
from push_blaster.web.access.known_callers import KnownCallers
from push_blaster.web.frame.csrf import CSRF_FIELD, READS, csrf_token

#: How long a session lasts without a request.
LASTS: Final = timedelta(hours=12)
CSRF_HEADER: Final = "X-CSRF-Token"


class _Cookies(SecureCookieSessionInterface):
    """Cookies for https only, if the request came by https or the settings ask for it."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie is marked Secure."""
        return request.is_secure or super().get_cookie_secure(app)


class Sessions:
    """Sessions of callers who signed in with a token; without the token its sessions end.

    The cookie is signed with a key made of the environment's tokens, so that every web worker knows
    it and no setting is needed; it holds a fingerprint of the token and never the token.
    """

    def __init__(
        self, app: Flask, tokens: Iterable[str], callers: KnownCallers, *, only_by_https: bool
    ) -> None:
        """Take the app that sets the cookie, the environment's tokens, and all callers."""
        self._callers = callers
        app.secret_key = hashlib.sha256("\n".join(["session", *sorted(tokens)]).encode()).digest()
        app.config.update(
            SESSION_COOKIE_NAME="push_session",
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Lax",
            PERMANENT_SESSION_LIFETIME=LASTS,
            SESSION_COOKIE_SECURE=only_by_https,
        )
        app.session_interface = _Cookies()

    @property
    def authentication(self) -> SessionAuthentication:
        """The authentication of browsers."""
        return SessionAuthentication(find_caller=self.find_caller, answer_unknown=_answer_unknown)

    def sign_in(self, token: str) -> bool:
        """Begin a session with `token`; return False if the token is unknown."""
        caller = self._callers.find(token)
        if caller is None:
            return False
        remember_caller(caller)
        session.clear()
        session.permanent = True
        session["token"] = fingerprint(token)
        session["csrf"] = secrets.token_urlsafe(24)
        return True

    def find_caller(self) -> Caller | None:
        """Return the caller of this request's session; None without a session.

        Raises: Forbidden if the form was sent by a page of another site.
        """
        caller = self.read_caller()
        if caller and request.method not in READS:
            _check_csrf()
        return caller

    def read_caller(self) -> Caller | None:
        """Return the caller who looks at this page."""
        return self._callers.find_by_fingerprint(session.get("token", ""))


def _check_csrf() -> None:
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not csrf_token() or not hmac.compare_digest(given, csrf_token()):
        raise Forbidden("This form is too old, or came from another site: reload the page.")


def _answer_unknown() -> ResponseReturnValue | None:
    """Redirect the request for a page to the sign-in page, which leads back afterwards."""
    if not (request.blueprint or "").startswith("pages"):
        return None
    wanted = request.full_path.rstrip("?") if request.method in READS else "/"
    return redirect(url_for("pages_sign_in.show", next=wanted), 303)
