"""Signing in to the pages: a session cookie for a token or a person, checked at every request."""

import hmac
import secrets
from contextvars import copy_context
from dataclasses import asdict
from functools import partial
from typing import Final

from flask import Flask, Request, current_app, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from werkzeug.exceptions import NotFound

from chassis.bearer_auth import (
    SHORTLY,
    Caller,
    Role,
    SessionAuthentication,
    note_unchecked,
    remember_caller,
)
from chassis.clock import utc_now
from chassis.health import NoAnswerError, ShortQuestions
from chassis.http.request_classes import find_class
from chassis.postgres import Database, DatabaseAwayError, DatabaseFaultError
from push_blaster.adapters.access.session_table import Session
from push_blaster.adapters.access.stored_secrets import read_stored_secret
from push_blaster.domain.access.person import Person
from push_blaster.domain.access.sign_in_attempt import SignInAttempt
from push_blaster.domain.access.token import fingerprint, subject_of
from push_blaster.use_cases.access.manage_sessions import (
    IDLE,
    begin_session,
    end_session,
    find_session,
)
from push_blaster.use_cases.access.sign_in_people import (
    ATTEMPT_LASTS,
    NoRoleError,
    People,
    admit_person,
    begin_person_session,
    find_person,
)
from push_blaster.web.access.audit import write_down
from push_blaster.web.access.known_callers import KnownCallers
from push_blaster.web.access.sent_forms import check_form, lead_to_sign_in
from push_blaster.web.frame.csrf import READS

COOKIE: Final = "push_session"
#: The longest path that a cookie keeps while somebody signs in.
LONGEST_WANTED: Final = 1_000


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
    """Sessions of callers who signed in with a token, or through the identity provider.

    Without the token its sessions end, and so do the sessions of a person who has no role any more.

    The cookie holds a random secret; what it stands for is in the database, so that the server can
    end a session.
    """

    def __init__(
        self,
        app: Flask,
        database: Database,
        callers: KnownCallers,
        people: People | None,
        *,
        only_by_https: bool,
    ) -> None:
        """Take the app that sets the cookie, the database with the sessions, and all callers."""
        self._database = database
        self.callers = callers
        self.people = people
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
        return SessionAuthentication(
            find_caller=self.find_caller,
            answer_unknown=lambda: lead_to_sign_in(self._database, can_keep=_has_key),
            asks="the database, or the identity provider," if self.people else "the database",
        )

    def sign_in(self, token: str) -> bool:
        """Begin a session with `token`, in place of an earlier one; False if it is unknown.

        A token of an app opens no page. Raises: NotAuditedError.
        """
        caller = self.callers.find_by_fingerprint(fingerprint(token))
        if caller is None or caller.role is Role.APP:
            return False
        remember_caller(caller)
        write_down(self._database)
        self._begin(begin_session(self._database, fingerprint(token), utc_now()))
        return True

    def begin_attempt(self, wanted: str) -> str:
        """Let this browser begin to sign in; return where at the identity provider it goes on.

        Raises: IdentityProviderAwayError, DatabaseAwayError.
        """
        attempt = SignInAttempt(secrets.token_urlsafe(32))
        url = self._require_people().provider.authorization_url(attempt)
        if not _has_key():
            raise DatabaseAwayError("Nobody can sign in: the database does not answer.")
        is_short = len(wanted) <= LONGEST_WANTED
        session["attempt"] = [attempt.secret, wanted if is_short else "/", utc_now().timestamp()]
        return url

    def end_attempt(self, state: str) -> tuple[SignInAttempt, str] | None:
        """Return the attempt of this browser and the page to go to; None if it is not this one."""
        secret, wanted, began_at = session.get("attempt") or ("", "", 0)
        attempt = SignInAttempt(secret)
        is_young = utc_now().timestamp() - began_at <= ATTEMPT_LASTS.total_seconds()
        is_this = hmac.compare_digest(attempt.state.encode(), state.encode(errors="replace"))
        if not (secret and is_young and is_this):
            return None
        del session["attempt"]
        return attempt, wanted

    def sign_in_person(self, code: str, sender: str | None, attempt: SignInAttempt) -> None:
        """Begin a session of the person whom the code of the identity provider proves.

        Raises: IdentityProviderAwayError, IdentityRefusedError, NoRoleError, NotAuditedError.
        """
        people = self._require_people()
        try:
            person, tokens = admit_person(people, code, sender, attempt, utc_now())
        except NoRoleError as error:
            write_down(self._database, {"refused": asdict(error.identity)})
            raise
        remember_caller(_as_caller(person))
        write_down(self._database, {"issuer": person.issuer, "subject": person.subject})
        self._begin(begin_person_session(self._database, person, tokens, utc_now()))

    def _require_people(self) -> People:
        if self.people is None:
            raise NotFound("Nobody signs in here through an identity provider.")
        return self.people

    def _begin(self, secret: str) -> None:
        """Let the browser have a new session in place of an earlier one."""
        self.sign_out()
        session.permanent = True
        session["secret"] = secret
        session["csrf"] = secrets.token_urlsafe(24)
        session["since"] = int(utc_now().timestamp())

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
            check_form(self._database, caller)
        return caller

    def read_caller(self) -> Caller | None:
        """Return the caller who looks at this page."""
        if "secret" not in session:
            return None
        found = find_session(self._database, session["secret"], utc_now())
        if found is None:
            return None
        if found.person_id is None:
            return self.callers.find_by_fingerprint(found.token)
        return self._find_person(found, session["secret"])

    def _find_person(self, found: Session, secret: str) -> Caller | None:
        if self.people is None:
            return None
        may_ask = find_class(current_app, request.method, request.path) not in SHORTLY
        person = find_person(self.people, found, secret, utc_now, may_ask=may_ask)
        return _as_caller(person) if person else None


def _has_key() -> bool:
    """Return whether cookies can be signed."""
    interface = current_app.session_interface
    return isinstance(interface, _Cookies) and bool(interface.get_signing_serializer(current_app))


def _as_caller(person: Person) -> Caller:
    role, subject = Role[str(person.role).upper()], subject_of("person", person.id)
    return Caller(person.label, role, is_personal=True, subject=subject)
