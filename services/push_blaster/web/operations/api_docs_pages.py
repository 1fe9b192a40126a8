"""The pages that describe the API of both services, from their OpenAPI documents."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.cadence.cadence_records import CadenceRecords
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.operations.openapi_view import view_document

#: Returns an OpenAPI document.
ReadDocument = Callable[[], Mapping[str, Any]]
#: Where the examples look for the cadence service, which only operators can reach.
CADENCE: Final = "$CADENCE"


def api_docs_pages(read_own: ReadDocument, records: CadenceRecords) -> Blueprint:
    """Return the pages about the API of this service and of the cadence service."""
    pages = page_routes("api_docs")

    @pages.get("/api-docs")
    def push() -> ResponseReturnValue:
        """Show the API of this service."""
        view = view_document(read_own(), request.url_root.rstrip("/"))
        return render_template("api_docs.html", view=view, tab="push")

    @pages.get("/api-docs/cadence")
    def cadence() -> ResponseReturnValue:
        """Show the API of the cadence service, which says itself what it takes."""
        try:
            view = view_document(records.read_openapi(), CADENCE)
        except CadenceUnavailableError as error:
            page = render_template("api_docs.html", view=None, tab="cadence", fault=str(error))
            return page, 503
        return render_template("api_docs.html", view=view, tab="cadence")

    return pages
