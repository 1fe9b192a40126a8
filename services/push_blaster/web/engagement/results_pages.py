"""The pages about results: all automations in a period, one automation, and parts of them."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from chassis.clock import utc_now
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentNotFoundError,
)
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.automations.automation import Automation
from push_blaster.use_cases.context import WebContext
from push_blaster.web.engagement.results import NOTE
from push_blaster.web.engagement.shown_results import (
    PERIODS,
    SHOWN,
    USUAL_DAYS,
    read_execution_results,
    read_one,
    read_overview,
)
from push_blaster.web.frame.frame import page_routes


def result_pages(context: WebContext) -> Blueprint:
    """Return the pages about results; the parts of them that change are pages, too."""
    pages = page_routes("results")
    database = context.database

    @pages.get("/results")
    def show() -> ResponseReturnValue:
        """Show what all automations did."""
        return render_template("results.html", **_read_overview(context))

    @pages.get("/live/results")
    def live() -> ResponseReturnValue:
        """Return the part of the page that changes."""
        return render_template("parts/results.html", **_read_overview(context))

    @pages.get("/results/<automation_id>")
    def show_one(automation_id: str) -> ResponseReturnValue:
        """Show what one automation did; a deleted one keeps its results."""
        return render_template("results_automation.html", **_read_one(context, automation_id))

    @pages.get("/live/results/<automation_id>")
    def live_one(automation_id: str) -> ResponseReturnValue:
        """Return the part of the page that changes."""
        return render_template("parts/results_automation.html", **_read_one(context, automation_id))

    @pages.get("/live/results/executions/<execution_id>")
    def live_execution(execution_id: str) -> ResponseReturnValue:
        """Return the results of an execution for its page."""
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
        shown = read_execution_results(database, execution.id, execution.automation, utc_now())
        return render_template("parts/results_execution.html", shown=shown, execution=execution)

    return pages


def _read_overview(context: WebContext) -> dict[str, object]:
    found = read_overview(context.database, read_days(), utc_now())
    return {"overview": found, "periods": PERIODS, "most": SHOWN, "note": NOTE}


def _read_one(context: WebContext, automation_id: str) -> dict[str, object]:
    automation = find_automation(context.files, automation_id)
    shown = read_one(context.database, automation_id, read_days(), automation, utc_now())
    if automation is None and not shown.total.executions:
        raise DocumentNotFoundError(
            f"There is no automation {automation_id!r}, and none sent anything in this period."
        )
    name = automation.name if automation else shown.total.automation_name or automation_id
    return {
        "shown": shown,
        "automation": automation,
        "automation_id": automation_id,
        "name": name,
        "periods": PERIODS,
    }


def find_automation(files: AutomationFiles, automation_id: str) -> Automation | None:
    """Return a saved automation; None if it was deleted, or cannot be read."""
    try:
        return read_automation(files.load(automation_id))
    except (DocumentNotFoundError, BrokenDocumentError):
        return None


def read_days() -> int:
    """Return the number of days that the reader of a page chose."""
    return request.args.get("days", USUAL_DAYS, type=int)
