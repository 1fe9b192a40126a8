"""Forms that come from a browser: of our own pages, and for the person who is signed in."""

from collections.abc import Callable

from flask import abort, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden, HTTPException

from chassis.bearer_auth import Caller
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.use_cases.access.manage_sessions import LASTS
from push_blaster.web.access.unsent_forms import keep_form, may_be_kept
from push_blaster.web.frame.csrf import (
    CSRF_FIELD,
    CSRF_HEADER,
    READS,
    Proof,
    is_foreign,
    read_proof,
)


def check_form(database: Database, caller: Caller) -> None:
    """Refuse a form of another site; keep a form of another person, or one that is too old.

    Raises: Forbidden, or a redirect to the page that gives the form back.
    """
    proof = None if is_foreign() else read_proof(_given_proof())
    if proof and _is_of(proof, caller):
        return
    if proof and may_be_kept():
        abort(redirect(keep_form(database, proof), 303))
    raise Forbidden("This form is too old, or came from another site: reload the page.")


def lead_to_sign_in(database: Database, can_keep: Callable[[], bool]) -> ResponseReturnValue | None:
    """Redirect to the sign-in page, which leads back afterwards; keep a form that is sent.

    Shape: `can_keep` says whether signatures can be read.
    """
    if not (request.blueprint or "").startswith("pages"):
        return None
    if request.method in READS:
        wanted = request.full_path.rstrip("?")
    else:
        is_ours = may_be_kept() and not is_foreign() and can_keep()
        proof = read_proof(_given_proof()) if is_ours else None
        wanted = keep_form(database, proof) if proof else _find_form_page()
    return redirect(url_for("pages_sign_in.show", next=wanted), 303)


def _given_proof() -> str:
    return request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")


def _is_of(proof: Proof, caller: Caller) -> bool:
    """Return whether this session's page has the proof, or a page of this person's last sessions.

    A second sign-in, in another tab, begins a new session; forms that are open stay good.
    """
    is_recent = proof.since > (utc_now() - LASTS).timestamp()
    return proof.secret == session.get("csrf") or (proof.is_of(caller) and is_recent)


def _find_form_page() -> str:
    """Return the path of the page that has the form of this request, if it has the same path."""
    try:
        current_app.url_map.bind("").match(request.path, "GET")
    except HTTPException:
        return "/"
    return request.path
