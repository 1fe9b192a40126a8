"""The pages about audience scripts: parameters, audiences, trials, runs."""

from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from push_blaster.adapters.audiences.audience_scripts import GIVEN
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.audiences.script_run_table import select_runs
from push_blaster.adapters.executions.execution_log import LogQuery, select_log_page
from push_blaster.domain.audiences.script import ParametersError
from push_blaster.use_cases.audiences.try_script import (
    TrialRequest,
    ask_for_trial,
    find_run,
    stop_trial,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.web.frame.drafts import only_shows
from push_blaster.web.frame.frame import once_key, page_routes

RUNS: Final = 20
LOG_LINES: Final = 500


def script_pages(context: WebContext) -> Blueprint:
    """Return the pages about scripts."""
    pages = page_routes("scripts")

    @pages.get("/scripts")
    def list_all() -> ResponseReturnValue:
        """Show every script, and the limits of scripts."""
        return render_template(
            "scripts.html",
            scripts=context.scripts.list_all(),
            limits=context.limits.script,
            environment=sorted([*context.limits.script.environment, *GIVEN]),
        )

    @pages.get("/scripts/<script_id>")
    def show(script_id: str) -> ResponseReturnValue:
        """Show one script, its form for a trial, and its runs."""
        return _render_script(context, script_id)

    @pages.post("/scripts/<script_id>")
    @asks_for(Role.OPERATOR)
    def start(script_id: str) -> ResponseReturnValue:
        """Start a trial: an engine runs the script, and nothing is sent."""
        if only_shows():
            return _render_script(context, script_id)
        declared = context.scripts.find(script_id).parameters
        given = {p.name: request.form.get(p.name, "").strip() for p in declared}
        asked = TrialRequest(
            script_id=script_id,
            parameters={name: text for name, text in given.items() if text},
            idempotency_key=once_key(),
        )
        try:
            run = ask_for_trial(context.database, context.scripts, asked, utc_now())
        except ParametersError as error:
            return _render_script(context, script_id, error)
        flash("The trial run is requested.", "success")
        return redirect(url_for(".run", script_id=script_id, run_id=run.id), 303)

    @pages.get("/scripts/<script_id>/runs/<uuid:run_id>")
    def run(script_id: str, run_id: UUID) -> ResponseReturnValue:
        """Show one run: state, output, audiences."""
        return render_template("script_run.html", **_read_shown_run(context, script_id, run_id))

    @pages.get("/live/scripts/<script_id>/runs/<uuid:run_id>")
    def live(script_id: str, run_id: UUID) -> ResponseReturnValue:
        """Return the part of the page that changes."""
        return render_template(
            "parts/script_run.html", **_read_shown_run(context, script_id, run_id)
        )

    @pages.post("/scripts/<script_id>/runs/<uuid:run_id>/stop")
    @asks_for(Role.OPERATOR)
    def stop(script_id: str, run_id: UUID) -> ResponseReturnValue:
        """Stop a trial and everything that its script started."""
        stop_trial(context.database, script_id, run_id, utc_now())
        return redirect(url_for(".run", script_id=script_id, run_id=run_id), 303)

    _add_source(pages, context.scripts)
    return pages


def _add_source(pages: Blueprint, scripts: ScriptFolder) -> None:
    @pages.get("/scripts/<script_id>/source")
    @asks_for(Role.ADMIN)
    def source(script_id: str) -> ResponseReturnValue:
        """Show the source of a script, with the numbers of its lines."""
        script = scripts.find(script_id)
        return render_template("script_source.html", script=script, lines=script.read_lines())


def _render_script(
    context: WebContext, script_id: str, error: ParametersError | None = None
) -> ResponseReturnValue:
    script = context.scripts.find(script_id)
    with context.database.transaction() as connection:
        runs = select_runs(connection, script_id, None, RUNS)
    page = render_template(
        "script.html",
        script=script,
        runs=runs,
        given=request.form,
        errors=error.faults if error else {},
    )
    return page, 400 if error else 200


def _read_shown_run(context: WebContext, script_id: str, run_id: UUID) -> dict[str, object]:
    found = find_run(context.database, script_id, run_id)
    with context.database.transaction() as connection:
        log = select_log_page(connection, found.log_id, LogQuery(limit=LOG_LINES))
    return {"script": context.scripts.find(script_id), "run": found, "log": log}
