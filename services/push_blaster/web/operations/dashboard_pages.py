"""The dashboard: what needs attention, what runs, what is planned, and what has ended."""

from datetime import datetime
from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.health import Questions
from push_blaster.adapters.executions.approval_table import select_approved
from push_blaster.adapters.executions.execution_view import select_executions
from push_blaster.adapters.executions.violation_table import (
    ViolationQuery,
    resolve_violation,
    select_violations,
)
from push_blaster.adapters.operations.engine_table import ALIVE_WITHIN, select_engines
from push_blaster.adapters.operations.troubled_executions import TROUBLE_LASTS, select_troubled
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.phase import ENDED, RUNNING
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.slots_ahead import find_cancelled_slots
from push_blaster.web.access.audit import only_reads
from push_blaster.web.executions.execution_card import make_cards
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.marks import keep_mark, read_marks
from push_blaster.web.operations.first_steps import DISMISSED, find_steps
from push_blaster.web.operations.provider import read_provider
from push_blaster.web.schedule.upcoming import AHEAD, UpcomingSends

SHOWN: Final = 8
#: How many marks the strip of a day shows; more would overlap.
MARKS: Final = 300


def dashboard_pages(context: WebContext) -> Blueprint:
    """Return the dashboard."""
    pages = page_routes("dashboard")
    upcoming = UpcomingSends()
    parts = Questions({"cadence": context.cadence.ping})

    def read() -> dict[str, object]:
        now = utc_now()
        listing = context.files.list_all()
        known = context.files.read_all().values()
        cancelled = find_cancelled_slots(context.database, now)
        planned = [
            one
            for one in upcoming.list_all((one.automation for one in known), now)
            if (one.automation.id, one.slot.at) not in cancelled
        ]
        return {
            "now": now,
            "broken": listing.broken,
            "automations": len(listing.documents),
            "planned": planned[:SHOWN],
            "planned_in_all": len(planned),
            "marks_of_day": [(_mark(p.slot.at, now), p) for p in planned[:MARKS]],
            "hours": [(h, h * 100 / 24) for h in range(0, 24, 3)],
            **_read_database(context, now),
            "health": parts.ask().states,
        }

    @pages.get("/")
    def show() -> ResponseReturnValue:
        """Show the dashboard."""
        automations = [one.automation for one in context.files.read_all().values()]
        with context.database.transaction() as connection:
            steps = find_steps(
                connection, automations, read_marks(), to_file=context.writes_to_file
            )
        return render_template("dashboard.html", steps=steps, **read())

    @pages.get("/live/dashboard")
    def live() -> ResponseReturnValue:
        """Return the part of the dashboard that changes."""
        return render_template("parts/dashboard.html", **read())

    @pages.post("/first-steps/dismiss")
    @only_reads
    @asks_for(Role.VIEWER)
    def dismiss_steps() -> ResponseReturnValue:
        """Show the first steps no more in this browser; nothing else changes."""
        return keep_mark(redirect(url_for(".show"), 303), DISMISSED)  # type: ignore[arg-type]  # Flask's own answer

    @pages.post("/violations/<uuid:violation_id>/resolve")
    @asks_for(Role.OPERATOR)
    def resolve(violation_id: UUID) -> ResponseReturnValue:
        """Mark the finding of a safeguard as resolved."""
        with context.database.transaction() as connection:
            resolve_violation(connection, violation_id, f"Resolved by {caller_name()}.", utc_now())
        flash("Resolved. It is no longer shown here.", "success")
        return redirect(url_for(".show"), 303)

    return pages


def _read_database(context: WebContext, now: datetime) -> dict[str, object]:
    with context.database.transaction() as connection:
        running = make_cards(
            connection, select_executions(connection, ExecutionFilter(phases=RUNNING), limit=50)
        )
        ended = make_cards(
            connection, select_executions(connection, ExecutionFilter(phases=ENDED), limit=SHOWN)
        )
        engines = select_engines(connection, now - ALIVE_WITHIN)
        provider = read_provider(connection, now)
        approved = select_approved(connection, [card.id for card in running])
        violations = select_violations(connection, ViolationQuery(resolved=False, limit=5))
        since = now - TROUBLE_LASTS
        troubled = select_troubled(connection, since, SHOWN)
        dismissed = select_troubled(connection, since, SHOWN, dismissed=True)
    return {
        "running": running,
        "held": [c for c in running if c.execution.waits_for_approval and c.id not in approved],
        "ended": ended,
        "engines": engines,
        "provider": provider,
        "violations": violations,
        "troubled": troubled,
        "dismissed": dismissed,
    }


def _mark(at: datetime, now: datetime) -> float:
    """Return the place of an instant on the strip of a day, from 0 to 100."""
    return round((at - now) / AHEAD * 100, 2)
