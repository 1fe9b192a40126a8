"""Signing in to the pages: a session cookie that stands for a token, checked at every request."""

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

#: How long a session lasts without being used.
LASTS: Final = timedelta(hours=12)
CSRF_HEADER: Final = "X-CSRF-Token"


class _Cookies(SecureCookieSessionInterface):
    """Cookies that go over https only, where the request came so or the settings ask for it."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie is marked Secure."""
        return request.is_secure or super().get_cookie_secure(app)


class Sessions:
    """Sessions of whoever signed in with a token; a token that is gone ends its sessions.

    The cookie is signed with a key made of the environment's tokens, so that every web worker knows
    it and no setting is needed; it holds a fingerprint of the token and never the token.
    """

    def __init__(
        self, app: Flask, tokens: Iterable[str], callers: KnownCallers, *, only_by_https: bool
    ) -> None:
        """Take the app whose cookie it is, the environment's tokens, and what knows all tokens."""
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
        """The way in for browsers."""
        return SessionAuthentication(find_caller=self.find_caller, answer_unknown=_answer_unknown)

    def sign_in(self, token: str) -> bool:
        """Begin a session with `token`; False if nobody knows it."""
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
        """Return whose session this request belongs to; None without one.

        Raises: Forbidden when a page of another site sends what only ours may send.
        """
        caller = self.read_caller()
        if caller and request.method not in READS:
            _check_csrf()
        return caller

    def read_caller(self) -> Caller | None:
        """Return who looks at this page."""
        return self._callers.find_by_fingerprint(session.get("token", ""))


def _check_csrf() -> None:
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not csrf_token() or not hmac.compare_digest(given, csrf_token()):
        raise Forbidden("This form is too old, or came from another site: reload the page.")


def _answer_unknown() -> ResponseReturnValue | None:
    """Send somebody who wanted a page to the sign-in page, and back afterwards."""
    if not (request.blueprint or "").startswith("pages"):
        return None
    wanted = request.full_path.rstrip("?") if request.method in READS else "/"
    return redirect(url_for("pages_sign_in.show", next=wanted), 303)
