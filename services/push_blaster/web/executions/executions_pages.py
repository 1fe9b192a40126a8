"""The pages about executions: the list, one with its log, and its stops."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name, name_of_caller
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.instants import read_instant
from chassis.postgres import Database
from chassis.typed_schemas import request_schema
from push_blaster.adapters.audiences.script_folder import (
    Script,
    ScriptFolder,
    ScriptIdClashError,
    ScriptNotFoundError,
)
from push_blaster.adapters.delivery.delivery_search import select_failures
from push_blaster.adapters.executions.execution_log import LogEntry, LogQuery, select_log_page
from push_blaster.adapters.executions.execution_search import count_executions
from push_blaster.adapters.executions.execution_view import select_execution, select_executions
from push_blaster.domain.executions.approval import Approval, Hashes
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.execution_filter import Result
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import ENDED, Phase
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.delivery.mark_dead_devices import mark_doubted_devices
from push_blaster.use_cases.executions.approve_execution import approve_execution
from push_blaster.use_cases.executions.resume_execution import resume_execution
from push_blaster.use_cases.executions.stop_execution import (
    Receipt,
    cancel_execution,
    stop_execution,
)
from push_blaster.web.access.audit import stops
from push_blaster.web.engagement.shown_results import read_execution_results
from push_blaster.web.executions.execution_card import Card, make_cards
from push_blaster.web.executions.obstacles import find_obstacle
from push_blaster.web.executions.phase_axis import lay_out
from push_blaster.web.executions.sample_texts import read_sample_texts
from push_blaster.web.executions.shown_execution import read_execution
from push_blaster.web.frame.cursors import next_cursor, read_cursor
from push_blaster.web.frame.frame import once_key, page_routes
from push_blaster.web.frame.list_filters import ExecutionQuery, load_filters, read_args
from push_blaster.web.frame.page_times import reader_zone

PAGE: Final = 50
#: How many lines of a log are shown at once.
LOG_LINES: Final = 200
LEVELS: Final = {
    "": tuple(LogLevel),
    "warning": (LogLevel.WARNING, LogLevel.ERROR),
    "error": (LogLevel.ERROR,),
}
#: The word that a person must type to stop a live send.
WORD: Final = "STOP"

FILTER: Final = request_schema(ExecutionQuery)
FILTERS: Final = ("automationId", "mode", "result", "from", "until")
#: The results that older links call `show`.
SHOWS: Final[Mapping[str, Sequence[str]]] = {
    "running": [Result.RUNNING],
    "ended": sorted(ENDED),
    "failed": [Result.FAILED],
}


def execution_pages(context: WebContext) -> Blueprint:
    """Return the pages about executions."""
    pages = page_routes("executions")
    database = context.database

    @pages.get("/executions")
    def list_all() -> ResponseReturnValue:
        """List executions, newest first."""
        given = _with_present_names(read_args())
        query: ExecutionQuery = load_filters(FILTER(), given)
        fitting = query.find_filter(reader_zone())
        before = read_cursor(request.args.get("before"), read_instant, str)
        with database.transaction() as connection:
            found = select_executions(connection, fitting, before=before, limit=PAGE)
            cards = make_cards(connection, found)
            counts = count_executions(connection, fitting)
        return render_template(
            "executions.html",
            cards=cards,
            counts=counts,
            kept={name: given[name] for name in FILTERS if name in given},
            results=list(Result),
            older=next_cursor(found, PAGE, lambda one: (one.created_at, one.id)),
        )

    _add_views(pages, context)
    _add_stops(pages, database)
    _add_starts(pages, context)
    _add_dead_devices(pages, database)
    return pages


def _add_views(pages: Blueprint, context: WebContext) -> None:
    """Add what shows one execution."""
    database = context.database

    @pages.get("/executions/<execution_id>")
    def show(execution_id: str) -> ResponseReturnValue:
        """Show one execution."""
        page = _read_whole_page(context, execution_id)
        return render_template(
            "execution.html",
            **page,
            shown=read_execution_results(
                database, execution_id, page["execution"].automation, utc_now()
            ),
            log=_read_log(database, execution_id),
            asked=request.args,
            log_lines=LOG_LINES,
        )

    @pages.get("/live/executions/<execution_id>")
    def live(execution_id: str) -> ResponseReturnValue:
        """Return the part of its page that changes."""
        return render_template("parts/execution.html", **_read_whole_page(context, execution_id))

    @pages.get("/live/executions/<execution_id>/log")
    def log(execution_id: str) -> ResponseReturnValue:
        """Return lines of its log: the last ones, or those beside a line that is shown."""
        with database.transaction() as connection:
            zone = select_execution(connection, execution_id).automation.schedule.timezone
        lines = _read_log(database, execution_id)
        return render_template("parts/log_lines.html", log=lines, zone=zone)

    @pages.get("/executions/<execution_id>/failures")
    def failures(execution_id: str) -> ResponseReturnValue:
        """Show why users got no message, or may have got no message."""
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
            found = select_failures(connection, execution_id, PAGE)
        return render_template("failures.html", execution=execution, found=found)


def _add_stops(pages: Blueprint, database: Database) -> None:
    """Add what asks for confirmation, and what cancels or stops."""

    @pages.get("/executions/<execution_id>/<any(cancel,stop,approve,resume,'dead-devices'):action>")
    @of_class(RequestClass.STOP)
    @asks_for(Role.OPERATOR)
    def confirm(execution_id: str, action: str) -> ResponseReturnValue:
        """Ask for confirmation; the browser shows it as a dialogue if JavaScript runs."""
        read = _read_page(database, execution_id)
        doubted = read["details"].doubted_devices
        obstacle = find_obstacle(read["card"], action, doubted)
        return render_template(
            "execution_confirm.html", action=action, word=WORD, obstacle=obstacle, **read
        )

    @pages.post("/executions/<execution_id>/cancel")
    @stops()
    @asks_for(Role.OPERATOR, simulates=True)
    def cancel(execution_id: str) -> ResponseReturnValue:
        """Cancel it before it goes live."""
        receipt = cancel_execution(database, execution_id, _read_reason("Cancelled"), utc_now())
        return _answer_stop(execution_id, receipt)

    @pages.post("/executions/<execution_id>/stop")
    @stops()
    @asks_for(Role.OPERATOR, simulates=True)
    def stop(execution_id: str) -> ResponseReturnValue:
        """Stop it in any phase."""
        execution = read_execution(database, execution_id).execution
        if execution.mode is Mode.LIVE and request.form.get("word", "").strip().upper() != WORD:
            flash(f"Nothing was stopped: type {WORD} to confirm.", "error")
            return redirect(url_for(".confirm", execution_id=execution_id, action="stop"), 303)
        receipt = stop_execution(database, execution_id, _read_reason("Stopped"), utc_now())
        return _answer_stop(execution_id, receipt)


def _add_starts(pages: Blueprint, context: WebContext) -> None:
    """Add what lets an execution go live, and what resumes one."""

    @pages.post("/executions/<execution_id>/approve")
    @asks_for(Role.OPERATOR, simulates=True)
    def approve(execution_id: str) -> ResponseReturnValue:
        """Approve what the form showed."""
        seen = Hashes(request.form.get("content", ""), request.form.get("audience", ""))
        by = name_of_caller(request.form.get("by", ""))
        approval = Approval(by=by, at=utc_now(), hashes=seen)
        approve_execution(context.database, context.cadence, execution_id, approval)
        flash("Approved. It goes live as planned, unless something changes.", "success")
        return redirect(url_for(".show", execution_id=execution_id), 303)

    @pages.post("/executions/<execution_id>/resume")
    @asks_for(Role.OPERATOR)
    def resume(execution_id: str) -> ResponseReturnValue:
        """Resume it: a new execution sends to the users who got nothing."""
        started = resume_execution(
            context,
            execution_id,
            utc_now(),
            idempotency_key=once_key(),
            even_if_restored="even_if_restored" in request.form,
        )
        flash("Started. It sends only to users who were not sent to before.", "success")
        return redirect(url_for(".show", execution_id=started.id), 303)


def _add_dead_devices(pages: Blueprint, database: Database) -> None:
    """Add what believes the provider after all."""

    @pages.post("/executions/<execution_id>/dead-devices")
    @asks_for(Role.OPERATOR)
    def dead_devices(execution_id: str) -> ResponseReturnValue:
        """Mark its doubted devices as dead."""
        marked = mark_doubted_devices(database, execution_id)
        flash(f"Devices marked as dead: {marked}.", "success")
        return redirect(url_for(".show", execution_id=execution_id), 303)


def _with_present_names(given: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """Return the query of the list; older links have other names in it."""
    old = {"automationId": given.get("automation"), "result": SHOWS.get(given.get("show", [""])[0])}
    return {**{name: found for name, found in old.items() if found}, **given}


def _read_reason(done: str) -> str:
    return request.form.get("reason", "").strip() or f"{done} by {caller_name()}."


def _answer_stop(execution_id: str, receipt: Receipt) -> ResponseReturnValue:
    totals = receipt.totals
    text = (
        f"Stopped. Sent to: {totals.sent}. Not sent to: {totals.not_sent}. "
        f"In doubt: {totals.in_doubt}."
    )
    flash(text, "success")
    return redirect(url_for(".show", execution_id=execution_id), 303)


def _find_failed_script(scripts: ScriptFolder, execution: Execution) -> Script | None:
    """Return the script of a failed execution, if it is still there."""
    if execution.phase is not Phase.FAILED or not execution.automation.script_id:
        return None
    try:
        return scripts.find(execution.automation.script_id)
    except (ScriptNotFoundError, ScriptIdClashError):
        return None


def _read_page(database: Database, execution_id: str) -> dict[str, Any]:
    """Return what the templates of one execution show: the same as its answer of the API."""
    shown, now = read_execution(database, execution_id), utc_now()
    return {
        "now": now,
        "card": Card(shown.execution, tuple(push.funnel for push in shown.pushes)),
        "execution": shown.execution,
        "axis": lay_out(shown.phases, shown.execution, now),
        "details": shown.details,
    }


def _read_whole_page(context: WebContext, execution_id: str) -> dict[str, Any]:
    """Return the same with the texts of each push as a user reads them, and a failed script."""
    page = _read_page(context.database, execution_id)
    texts = read_sample_texts(context.data_folder, page["execution"])
    script = _find_failed_script(context.scripts, page["execution"])
    return {**page, "texts": texts, "script": script}


def _read_log(database: Database, execution_id: str) -> list[LogEntry]:
    """Return the lines that the request asks for."""
    asked = LogQuery(
        limit=LOG_LINES,
        levels=LEVELS.get(request.args.get("level", ""), LEVELS[""]),
        find=request.args.get("find", "").strip(),
        after=request.args.get("after", type=int),
        before=request.args.get("before", type=int),
    )
    with database.transaction() as connection:
        return select_log_page(connection, execution_id, asked)
