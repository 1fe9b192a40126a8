"""Forms that could not be carried out because nobody, or somebody else, is signed in."""

from secrets import token_urlsafe
from typing import Final

from flask import current_app, request, url_for

from chassis.bearer_auth import SHORTLY
from chassis.clock import utc_now
from chassis.http.request_classes import MAX_BUFFERED, request_class
from chassis.postgres import Database
from push_blaster.adapters.access.unsent_form_table import UnsentForm, insert_unsent
from push_blaster.web.frame.csrf import CSRF_FIELD, Proof

#: The view that ends a session.
SIGN_OUT: Final = "pages_sign_in.end"
_FORMS: Final = {"application/x-www-form-urlencoded", "multipart/form-data"}


def may_be_kept() -> bool:
    """Return whether this request is a form of a page that a person has sent, and not too large.

    A larger body is not read before the caller is known; nor is anything that a script sends. What
    shares threads with stops does not wait for the database. Who signs out has nothing to lose.
    """
    view = current_app.view_functions[request.endpoint or ""]
    return (
        (request.blueprint or "").startswith("pages")
        and request.endpoint != SIGN_OUT
        and request_class(view) not in SHORTLY
        and request.mimetype in _FORMS
        and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        and 0 < (request.content_length or 0) <= MAX_BUFFERED
    )


def keep_form(database: Database, proof: Proof) -> str:
    """Keep the form of this request for the person of the proof; return the page that shows it."""
    key = token_urlsafe(24)
    fields = [pair for pair in request.form.items(multi=True) if pair[0] != CSRF_FIELD]
    files = [file.filename for file in request.files.values() if file.filename]
    form = UnsentForm(proof.caller, request.full_path.rstrip("?"), fields, files)
    with database.transaction() as connection:
        insert_unsent(connection, key, form, utc_now())
    return url_for("pages_unsent.show", key=key)
