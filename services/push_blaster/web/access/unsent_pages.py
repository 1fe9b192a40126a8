"""The page that gives a form back which was sent without a session."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from chassis.bearer_auth import the_caller
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.unsent_form_table import select_unsent
from push_blaster.use_cases.access.list_people import find_label
from push_blaster.web.frame.drafts import DRAFT_FIELD, SHOW
from push_blaster.web.frame.frame import page_routes


def unsent_pages(database: Database) -> Blueprint:
    """Return the page of forms that were not carried out."""
    pages = page_routes("unsent")

    @pages.get("/unsent/<key>")
    def show(key: str) -> ResponseReturnValue:
        """Give a form back to the person who filled it in, and to nobody else.

        A form for editing is shown again as it was; any other form is sent once it is confirmed.
        """
        with database.transaction() as connection:
            form = select_unsent(connection, key, utc_now())
        if form is None:
            raise NotFound("This form is not kept any more. Please fill in the form again.")
        caller = the_caller()
        if caller is None or form.caller not in {caller.subject, caller.name}:
            owner = find_label(database, form.caller)
            return render_template("unsent.html", owner=owner), 403
        can_show = any(name == DRAFT_FIELD for name, _ in form.fields)
        fields = [(n, SHOW if n == DRAFT_FIELD else value) for n, value in form.fields]
        return render_template("unsent.html", form=form, fields=fields, can_show=can_show)

    return pages
