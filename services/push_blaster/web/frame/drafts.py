"""Forms for editing that can be shown again with what somebody had typed, without being saved."""

from typing import Final

from flask import flash, request

#: The hidden field of such a form, and its value in a form that is only to be shown. No variable of
#: a template, and no parameter of a script, has such a name.
DRAFT_FIELD: Final = "draft-form"
SHOW: Final = "show"


def only_shows() -> bool:
    """Return whether the form of this request is only to be shown again; say so on the page."""
    is_only_shown = request.form.get(DRAFT_FIELD) == SHOW
    if is_only_shown:
        flash("Everything that you typed is here again. Nothing is saved yet.", "warning")
    return is_only_shown
