"""The page about people: who is signed in or was here lately, and the end of their sessions."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.use_cases.access.list_people import end_sessions, list_people
from push_blaster.web.access.people import tokens_of_environment
from push_blaster.web.access.session import Sessions
from push_blaster.web.frame.frame import page_routes


def people_pages(database: Database, sessions: Sessions) -> Blueprint:
    """Return the page about people."""
    pages = page_routes("people")
    of_environment = tokens_of_environment(sessions.callers)

    @pages.get("/people")
    @asks_for(Role.ADMIN)
    def show() -> ResponseReturnValue:
        """Show who is signed in or was here lately."""
        found = list_people(database, of_environment, utc_now())
        return render_template("people.html", found=found, people=sessions.people)

    @pages.post("/people/end")
    def end() -> ResponseReturnValue:
        """End all sessions of a person or a token."""
        count = end_sessions(database, of_environment, request.form.get("key", ""), utc_now())
        flash(f"Ended {count} session{'' if count == 1 else 's'}.", "success")
        return redirect(url_for(".show"), 303)

    return pages
