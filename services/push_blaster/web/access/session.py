"""Signing in to the pages: a session cookie for a token, checked at every request."""

import hmac
import secrets
from contextvars import copy_context
from functools import partial
from typing import Final

from flask import Flask, Request, redirect, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from itsdangerous import URLSafeTimedSerializer
from werkzeug.exceptions import Forbidden

from chassis.bearer_auth import (
    SHORTLY,
    Caller,
    SessionAuthentication,
    note_unchecked,
    remember_caller,
)
from chassis.clock import utc_now
from chassis.health import NoAnswerError, ShortQuestions
from chassis.http.request_classes import find_class
from chassis.postgres import Database, DatabaseAwayError, DatabaseFaultError
from push_blaster.adapters.access.stored_secrets import read_stored_secret
from push_blaster.domain.access.token import fingerprint
from push_blaster.use_cases.access.manage_sessions import (
    IDLE,
    begin_session,
    end_session,
    find_session,
)
from push_blaster.web.access.audit import write_down
from push_blaster.web.access.known_callers import KnownCallers
from push_blaster.web.frame.csrf import CSRF_FIELD, READS, csrf_token, is_foreign

CSRF_HEADER: Final = "X-CSRF-Token"
COOKIE: Final = "push_session"


class _Cookies(SecureCookieSessionInterface):
    """Cookies that are signed with a random key of the database, which every web worker reads once.

    A cookie is for https only, if the request came by https or the settings ask for it.
    """

    def __init__(self, database: Database) -> None:
        """Take the database with the key."""
        self._database = database

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie is marked Secure."""
        return request.is_secure or super().get_cookie_secure(app)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of the cookie; a request without a cookie needs no database."""
        if COOKIE not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs cookies; None while the database is away and the key is not known."""
        if not app.secret_key:
            shortly = SHORTLY.get(find_class(app, request.method, request.path))
            app.secret_key = self._read_key_shortly(shortly) if shortly else self._read_key()
        return super().get_signing_serializer(app)

    def _read_key_shortly(self, shortly: ShortQuestions) -> str | None:
        try:
            return shortly.ask(partial(copy_context().run, self._read_key))
        except NoAnswerError:
            note_unchecked()
            return None

    def _read_key(self) -> str | None:
        try:
            with self._database.transaction() as connection:
                return read_stored_secret(connection, "session-cookie")
        except (DatabaseAwayError, DatabaseFaultError):
            return None


class Sessions:
    """Sessions of callers who signed in with a token; without the token its sessions end.

    The cookie holds a random secret; what it stands for is in the database, so that the server can
    end a session.
    """

    def __init__(
        self, app: Flask, database: Database, callers: KnownCallers, *, only_by_https: bool
    ) -> None:
        """Take the app that sets the cookie, the database with the sessions, and all callers."""
        self._database = database
        self._callers = callers
        app.config.update(
            SESSION_COOKIE_NAME=COOKIE,
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Lax",
            PERMANENT_SESSION_LIFETIME=IDLE,
            SESSION_COOKIE_SECURE=only_by_https,
        )
        app.session_interface = _Cookies(database)

    @property
    def authentication(self) -> SessionAuthentication:
        """The authentication of browsers."""
        return SessionAuthentication(find_caller=self.find_caller, answer_unknown=_answer_unknown)

    def sign_in(self, token: str) -> bool:
        """Begin a session with `token`, in place of an earlier one; False if it is unknown.

        Raises: NotAuditedError.
        """
        caller = self._callers.find(token)
        if caller is None:
            return False
        remember_caller(caller)
        write_down(self._database)
        self.sign_out()
        session.permanent = True
        session["secret"] = begin_session(self._database, fingerprint(token), utc_now())
        session["csrf"] = secrets.token_urlsafe(24)
        return True

    def sign_out(self) -> None:
        """End the session of this request, here and on every copy of its cookie."""
        if "secret" in session:
            end_session(self._database, session["secret"])
        session.clear()

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
        if "secret" not in session:
            return None
        token = find_session(self._database, session["secret"], utc_now())
        return self._callers.find_by_fingerprint(token) if token else None


def _check_csrf() -> None:
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    is_ours = csrf_token() and hmac.compare_digest(given.encode(), csrf_token().encode())
    if not is_ours or is_foreign():
        raise Forbidden("This form is too old, or came from another site: reload the page.")


def _answer_unknown() -> ResponseReturnValue | None:
    """Redirect the request for a page to the sign-in page, which leads back afterwards."""
    if not (request.blueprint or "").startswith("pages"):
        return None
    wanted = request.full_path.rstrip("?") if request.method in READS else "/"
    return redirect(url_for("pages_sign_in.show", next=wanted), 303)
