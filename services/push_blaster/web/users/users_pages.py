"""The page about one user: the answer, what is true now, and the timeline."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.clock import utc_now
from chassis.instants import read_instant
from chassis.typed_schemas import request_schema
from push_blaster.domain.devices.opt_out import SOURCE_WORDS
from push_blaster.domain.users.timeline import Place, Window
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.users.read_cadence import UserHistory
from push_blaster.use_cases.users.read_user import read_timeline, read_user
from push_blaster.web.devices.devices import hide_tokens
from push_blaster.web.frame.asked_user import AskedUser, ask_user, read_asked_user
from push_blaster.web.frame.cursors import read_cursor, write_cursor
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.list_filters import PeriodQuery, load_filters, read_args, say_faults
from push_blaster.web.frame.page_times import reader_zone

PAGE: Final = 50
FILTER: Final = request_schema(PeriodQuery)
FILTERS: Final = ("from", "until")


def user_pages(context: WebContext) -> Blueprint:
    """Return the page about one user."""
    pages = page_routes("users")

    @pages.get("/users")
    def search() -> ResponseReturnValue:
        """Lead to the page of the user that is searched for."""
        asked = read_asked_user()
        kept: dict[str, Any] = {
            name: value for name in FILTERS if (value := request.args.get(name))
        }
        if asked.id:
            return redirect(url_for(".show", user_id=asked.id, **kept), 303)
        return _show_search(asked)

    @pages.get("/users/<user_id>")
    def show(user_id: str) -> ResponseReturnValue:
        """Show all that is known of a user, newest first."""
        asked = ask_user(user_id)
        if asked.id is None:
            return _show_search(asked)
        given = read_args()
        kept: Mapping[str, str] = {name: given[name][-1] for name in FILTERS if name in given}
        try:
            query: PeriodQuery = load_filters(FILTER(), given)
            since, until = query.find_period(reader_zone())
        except ValidationError as error:
            return _show_search(asked._replace(fault=say_faults(error)), kept)
        before = read_cursor(request.args.get("before"), read_instant, str)
        window = Window(
            since=since, until=until, before=Place(*before) if before else None, limit=PAGE
        )
        history = UserHistory(context, asked.id)
        known = read_user(history, utc_now(), since, until)
        page = read_timeline(history, window)
        return render_template(
            "user.html",
            user=str(asked.id),
            known=known,
            devices=hide_tokens(known.devices),
            entries=page.entries,
            fault=None if known.fault else page.fault,  # the answer says it
            older=write_cursor(*page.next) if page.next else None,
            kept=kept,
            opt_out_sources=SOURCE_WORDS,
        )

    return pages


def _show_search(asked: AskedUser, kept: Mapping[str, str] | None = None) -> ResponseReturnValue:
    page = render_template("user.html", user=asked.text, invalid=asked.fault, kept=kept or {})
    return page, asked.status
