"""The pages by which a user is erased, and by which the erasure is followed."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.use_cases.users.erase_user import ask_for_erasure
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.users.erasures import find_erasure


def erasure_pages(database: Database) -> Blueprint:
    """Return the pages about erasures."""
    pages = page_routes("erasures")

    def ask(user_id: UUID, **shown: Any) -> str:
        return render_template("erase_user.html", user_id=user_id, **shown)

    @pages.get("/users/<uuid:user_id>/erase")
    @asks_for(Role.ADMIN)
    def confirm(user_id: UUID) -> ResponseReturnValue:
        """Ask for confirmation: the id has to be typed."""
        return ask(user_id, errors={})

    @pages.post("/users/<uuid:user_id>/erase")
    def erase(user_id: UUID) -> ResponseReturnValue:
        """Erase the user whose id was typed; the same form twice does it once."""
        typed = request.form.get("userId", "").strip()
        if typed.lower() != str(user_id):
            fault = f"Type the id of this user to erase the user: {user_id}"
            return ask(user_id, errors={"userId": fault}, typed=typed), 400
        asked = ask_for_erasure(database, user_id, utc_now())
        return redirect(url_for(".follow", erasure_id=asked.id), 303)

    @pages.get("/erasures/<uuid:erasure_id>")
    def follow(erasure_id: UUID) -> ResponseReturnValue:
        """Show how far an erasure is."""
        return render_template("erasure.html", erasure=find_erasure(database, erasure_id))

    return pages
