"""The dashboard: what needs a person, what runs, what comes, what was."""

from datetime import datetime
from typing import Any, Final

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from chassis.clock import utc_now
from chassis.health import check_parts
from push_blaster.adapters.automation_files import AutomationFiles
from push_blaster.adapters.delivery_report import select_funnels
from push_blaster.adapters.engine_table import select_engines
from push_blaster.adapters.execution_view import select_executions
from push_blaster.adapters.violation_table import ViolationQuery, select_violations
from push_blaster.domain.phase import ENDED, RUNNING
from push_blaster.use_cases.parts import Parts
from push_blaster.use_cases.watch_clock import ALIVE_WITHIN
from push_blaster.web.pages.execution_card import make_card
from push_blaster.web.pages.frame import page_routes
from push_blaster.web.pages.upcoming import AHEAD, UpcomingSends

SHOWN: Final = 8


def dashboard_pages(parts: Parts, files: AutomationFiles) -> Blueprint:
    """Return the dashboard."""
    pages = page_routes("dashboard")
    upcoming = UpcomingSends()

    def read() -> dict[str, Any]:
        now = utc_now()
        listing = files.list_all()
        planned = upcoming.list_all(listing.documents, now)
        return {
            "now": now,
            "broken": listing.broken,
            "automations": len(listing.documents),
            "planned": planned[:SHOWN],
            "planned_in_all": len(planned),
            "marks": [_mark(p.slot.at, now) for p in planned[:500]],
            "hours": [(h, h * 100 / 24) for h in range(0, 24, 3)],
            **_read_database(parts, now),
        }

    @pages.get("/")
    def show() -> ResponseReturnValue:
        """Show the dashboard."""
        return render_template("dashboard.html", **read())

    @pages.get("/live/dashboard")
    def live() -> ResponseReturnValue:
        """Return what changes on it."""
        return render_template("parts/dashboard.html", **read())

    return pages


def _read_database(parts: Parts, now: datetime) -> dict[str, Any]:
    with parts.database.transaction() as connection:
        running = select_executions(connection, phases=RUNNING, limit=50)
        ended = select_executions(connection, phases=ENDED, limit=SHOWN)
        counted = {e.id: select_funnels(connection, e.id) for e in running}
        engines = select_engines(connection, now - ALIVE_WITHIN)
        violations = select_violations(connection, ViolationQuery(resolved=False, limit=5))
    cards = [make_card(e, counted[e.id]) for e in running]
    return {
        "running": cards,
        "held": [card for card in cards if card.execution.approval_reason],
        "ended": [make_card(e) for e in ended],
        "engines": engines,
        "violations": violations,
        "health": check_parts({"cadence": parts.cadence.ping}),
    }


def _mark(at: datetime, now: datetime) -> float:
    """Return where on a strip of a day an instant stands, from 0 to 100."""
    return round((at - now) / AHEAD * 100, 2)
