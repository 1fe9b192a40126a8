"""The page that stops everything, after one question."""

from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.executions.execution_table import count_running
from push_blaster.use_cases.automations.control_automation import Control, describe_emergency_stop
from push_blaster.web.access.audit import stops
from push_blaster.web.frame.frame import page_routes

#: The words that confirm it.
WORD: Final = "STOP ALL"


def stop_everything_pages(database: Database, files: AutomationFiles) -> Blueprint:
    """Return the page."""
    pages = page_routes("stop_everything")
    control = Control(files, database)

    @pages.get("/stop-everything")
    @of_class(RequestClass.STOP)
    @asks_for(Role.OPERATOR)
    def ask() -> ResponseReturnValue:
        """Ask for confirmation, and show the executions that a stop would end."""
        with database.transaction() as connection:
            running = count_running(connection)
        scheduled = sum(one.automation.is_scheduled for one in files.read_all().values())
        return render_template(
            "stop_everything.html", running=running, scheduled=scheduled, word=WORD
        )

    @pages.post("/stop-everything")
    @stops()
    @asks_for(Role.OPERATOR)
    def act() -> ResponseReturnValue:
        """Stop every execution, and pause every automation."""
        if request.form.get("word", "").strip().upper() != WORD:
            flash(f"Nothing was stopped: type {WORD} to confirm.", "error")
            return redirect(url_for(".ask"), 303)
        reason = request.form.get("reason", "").strip()
        reason = reason or f"Emergency stop of everything by {caller_name()}."
        done = control.stop_everything(reason, utc_now())
        ended = sum(len(one.cancelled) + len(one.stopped) for one in done)
        paused = sum(one.document["status"] == "paused" for one in done)
        flash(f"Executions stopped: {ended}. Automations paused: {paused}.", "success")
        if any(one.fault for one in done):
            flash(describe_emergency_stop(done), "error")
        return redirect(url_for("pages_dashboard.show"), 303)

    return pages
