"""The proof that a form came from one of our own pages, and for which person the page drew it."""

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from flask import current_app, request, session
from itsdangerous import BadSignature, URLSafeSerializer

from chassis.bearer_auth import Caller, the_caller

#: Methods that change nothing, and need no such token.
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD: Final = "csrf_token"
CSRF_HEADER: Final = "X-CSRF-Token"


class Proof(NamedTuple):
    """What a form says, under our signature, about the page that it came from.

    Shape: `caller` is the subject of the person (in forms of before, the name), `secret` belongs to
    the session, which began at `since`, in seconds since 1970.
    """

    caller: str
    secret: str
    since: int

    def is_of(self, caller: Caller) -> bool:
        """Return whether the page was drawn for this caller."""
        return self.caller in {caller.subject, caller.name}


def csrf_token() -> str:
    """Return the proof that the forms of this page contain, so that no other site can send them."""
    caller = the_caller()
    if caller is None or "csrf" not in session:
        return ""
    proof = Proof(caller.subject, session["csrf"], session.get("since", 0))
    return str(_signer().dumps(list(proof)))


def read_proof(given: str) -> Proof | None:
    """Return the proof that a form contains; None if it is none of ours."""
    if not current_app.secret_key:
        return None
    try:
        return Proof(*_signer().loads(given))
    except (BadSignature, TypeError):
        return None


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(str(current_app.secret_key), salt="form")


def is_foreign() -> bool:
    """Return whether the browser says that a page of another site made it send this request.

    Every browser of today says so with a form; a program that is no browser says nothing.
    """
    sender = request.headers.get("Sec-Fetch-Site")
    if sender:
        return sender not in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is not None and _host_of(origin) != _host_of(f"//{request.host}")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return ""
