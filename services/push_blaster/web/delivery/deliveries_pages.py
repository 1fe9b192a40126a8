"""The page about the deliveries of one user, in one execution or in all of them."""

from typing import Final

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from chassis.instants import read_instant
from chassis.postgres import Database
from chassis.typed_schemas import request_schema
from push_blaster.adapters.delivery.delivery_search import select_deliveries_of
from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.web.delivery.deliveries import DeliveryQuery
from push_blaster.web.frame.asked_user import read_asked_user
from push_blaster.web.frame.cursors import next_cursor, read_cursor
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.list_filters import load_filters, read_args
from push_blaster.web.frame.page_times import reader_zone

PAGE: Final = 50
FILTER: Final = request_schema(DeliveryQuery)
FILTERS: Final = ("user", "execution", "mode", "result", "from", "until")


def delivery_pages(database: Database) -> Blueprint:
    """Return the page about one user."""
    pages = page_routes("deliveries")

    @pages.get("/deliveries")
    def search() -> ResponseReturnValue:
        """Show the deliveries of the user that is searched for."""
        asked, execution_id = read_asked_user(), request.args.get("execution", "").strip()
        given = read_args()
        before = read_cursor(request.args.get("before"), read_instant, str)
        query: DeliveryQuery = load_filters(FILTER(), given)
        fitting = query.find_filter(reader_zone(), execution_id or None)
        with database.transaction() as connection:
            found = (
                select_deliveries_of(connection, asked.id, fitting, before, PAGE)
                if asked.id
                else []
            )
        page = render_template(
            "deliveries.html",
            user=asked.text,
            execution_id=execution_id,
            found=found,
            older=next_cursor(found, PAGE, lambda one: (one.claimed_at, one.entry)),
            fault=asked.fault,
            kept={name: given[name] for name in FILTERS if name in given},
            states=[one for one in LedgerState if one is not LedgerState.AWAITS_WINDOW],
        )
        return page, asked.status

    return pages
