"""The page about the deliveries of one user, in one execution or in all of them."""

from typing import Final
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from chassis.postgres import Database
from push_blaster.adapters.delivery.delivery_search import UserDelivery, select_deliveries_of
from push_blaster.web.frame.asked_user import read_asked_user
from push_blaster.web.frame.cursors import next_cursor, read_cursor, read_instant
from push_blaster.web.frame.frame import page_routes

PAGE: Final = 50


def delivery_pages(database: Database) -> Blueprint:
    """Return the page about one user."""
    pages = page_routes("deliveries")

    @pages.get("/deliveries")
    def search() -> ResponseReturnValue:
        """Show the deliveries of the user that is searched for."""
        asked, execution_id = read_asked_user(), request.args.get("execution", "").strip()
        found = _find_deliveries(database, asked.id, execution_id or None) if asked.id else []
        older = next_cursor(found, PAGE, lambda one: (one.claimed_at, one.entry))
        page = render_template(
            "deliveries.html",
            user=asked.text,
            execution_id=execution_id,
            found=found,
            older=older,
            fault=asked.fault,
        )
        return page, asked.status

    return pages


def _find_deliveries(
    database: Database, user_id: UUID, execution_id: str | None
) -> list[UserDelivery]:
    before = read_cursor(request.args.get("before"), read_instant, str)
    with database.transaction() as connection:
        return select_deliveries_of(connection, user_id, before, PAGE, execution_id)
