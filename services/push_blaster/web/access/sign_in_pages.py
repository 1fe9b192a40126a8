"""The pages for signing in and out."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from chassis.bearer_auth import Role, asks_for, needs_no_token
from chassis.http.guesses import GuessLimit, when_to_retry
from chassis.http.request_classes import RequestClass, of_class
from push_blaster.web.access.session import Sessions
from push_blaster.web.frame.csrf import is_foreign
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.own_paths import own_path
from push_blaster.web.frame.template_filters import span


def sign_in_pages(sessions: Sessions, guesses: GuessLimit) -> Blueprint:
    """Return the pages that begin and end a session."""
    pages = page_routes("sign_in")

    @pages.get("/sign-in")
    @of_class(RequestClass.SIGN_IN)
    @needs_no_token
    def show() -> ResponseReturnValue:
        """Ask for a token."""
        if sessions.read_caller():
            return redirect(_wanted())
        return render_template("sign_in.html", wanted=_wanted())

    @pages.post("/sign-in")
    @of_class(RequestClass.SIGN_IN)
    @needs_no_token
    def begin() -> ResponseReturnValue:
        """Begin a session, and go to the requested page; a valid token always gets in."""
        if is_foreign():
            raise Forbidden("This form came from another site. Sign in on this page instead.")
        if sessions.sign_in(request.form.get("token", "").strip()):
            return redirect(_wanted(), 303)
        return _refuse(guesses)

    @pages.post("/sign-out")
    @of_class(RequestClass.SIGN_IN)
    @asks_for(Role.VIEWER, simulates=True)
    def end() -> ResponseReturnValue:
        """End the session of this browser."""
        sessions.sign_out()
        flash("You are signed out.", "success")
        return redirect(url_for("pages_sign_in.show"), 303)

    return pages


def _refuse(guesses: GuessLimit) -> ResponseReturnValue:
    usage = guesses.count()
    if not usage.is_over:
        fault = "This token is unknown. Paste the whole token, without quotes or spaces."
        return render_template("sign_in.html", wanted=_wanted(), fault=fault), 401
    fault = f"Too many unknown tokens came from your address. Try again in {span(usage.wait)}."
    page = render_template("sign_in.html", wanted=_wanted(), fault=fault)
    return page, 429, {"Retry-After": str(when_to_retry(usage))}


def _wanted() -> str:
    """Return the page to go to; it is always one of ours."""
    return own_path(request.values.get("next", ""))
