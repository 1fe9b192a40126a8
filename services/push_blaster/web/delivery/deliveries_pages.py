"""The page about the deliveries of one user, in one execution or in all of them."""

from typing import Final
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from chassis.postgres import Database
from push_blaster.adapters.delivery.delivery_search import UserDelivery, select_deliveries_of
from push_blaster.web.frame.cursors import next_cursor, read_cursor, read_instant
from push_blaster.web.frame.frame import page_routes

PAGE: Final = 50


def delivery_pages(database: Database) -> Blueprint:
    """Return the page about one user."""
    pages = page_routes("deliveries")

    @pages.get("/deliveries")
    def search() -> ResponseReturnValue:
        """Show the deliveries of the user that is searched for."""
        user, execution_id = (request.args.get(name, "").strip() for name in ("user", "execution"))
        user_id, fault = _read_user(user)
        found = _find_deliveries(database, user_id, execution_id or None) if user_id else []
        older = next_cursor(found, PAGE, lambda one: (one.claimed_at, one.entry))
        shown = {"user": user, "execution_id": execution_id, "found": found, "older": older}
        return render_template("deliveries.html", **shown, fault=fault), 400 if fault else 200

    return pages


def _read_user(text: str) -> tuple[UUID | None, str | None]:
    """Return the user that was asked for, if any, and what is wrong with the text, if anything."""
    try:
        return (UUID(text) if text else None), None
    except ValueError:
        return None, f"{text!r} is no user id; ids are UUIDs."


def _find_deliveries(
    database: Database, user_id: UUID, execution_id: str | None
) -> list[UserDelivery]:
    before = read_cursor(request.args.get("before"), read_instant, str)
    with database.transaction() as connection:
        return select_deliveries_of(connection, user_id, before, PAGE, execution_id)
