"""The page about the deliveries of one user, in one execution or in all of them."""

from typing import Final
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

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
        found = _find_deliveries(database, user, execution_id or None) if user else []
        older = next_cursor(found, PAGE, lambda one: (one.claimed_at, one.entry))
        return render_template(
            "deliveries.html", user=user, execution_id=execution_id, found=found, older=older
        )

    return pages


def _find_deliveries(database: Database, user: str, execution_id: str | None) -> list[UserDelivery]:
    try:
        user_id = UUID(user)
    except ValueError as error:
        raise ValidationError({"user": [f"{user!r} is no user id; ids are UUIDs."]}) from error
    before = read_cursor(request.args.get("before"), read_instant, str)
    with database.transaction() as connection:
        return select_deliveries_of(connection, user_id, before, PAGE, execution_id)
