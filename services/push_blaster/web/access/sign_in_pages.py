"""The pages for signing in and out."""

from datetime import timedelta
from math import ceil

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, needs_no_token, simulates
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.use_cases.access.limit_sign_ins import find_pause, note_failure
from push_blaster.web.access.session import Sessions
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.template_filters import span


def sign_in_pages(sessions: Sessions, database: Database) -> Blueprint:
    """Return the pages that begin and end a session."""
    pages = page_routes("sign_in")

    @pages.get("/sign-in")
    @needs_no_token
    def show() -> ResponseReturnValue:
        """Ask for a token."""
        if sessions.read_caller():
            return redirect(_wanted())
        return render_template("sign_in.html", wanted=_wanted())

    @pages.post("/sign-in")
    @needs_no_token
    def begin() -> ResponseReturnValue:
        """Begin a session, and go to the requested page."""
        address = request.remote_addr or ""
        pause = find_pause(database, address, utc_now())
        if pause:
            return _ask_to_wait(pause)
        if sessions.sign_in(request.form.get("token", "").strip()):
            return redirect(_wanted(), 303)
        note_failure(database, address, utc_now())
        fault = "This token is unknown. Paste the whole token, without quotes or spaces."
        return render_template("sign_in.html", wanted=_wanted(), fault=fault), 401

    @pages.post("/sign-out")
    @simulates
    @asks_for(Role.VIEWER)
    def end() -> ResponseReturnValue:
        """End the session of this browser."""
        session.clear()
        flash("You are signed out.", "success")
        return redirect(url_for("pages_sign_in.show"), 303)

    return pages


def _ask_to_wait(pause: timedelta) -> ResponseReturnValue:
    fault = f"Too many unknown tokens were tried. Try again in {span(pause)}."
    page = render_template("sign_in.html", wanted=_wanted(), fault=fault)
    return page, 429, {"Retry-After": str(ceil(pause.total_seconds()))}


def _wanted() -> str:
    """Return the page to go to; it is always one of ours."""
    wanted = request.values.get("next", "/")
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_ours else "/"
