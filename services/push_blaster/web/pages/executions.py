"""The pages about executions: the list, one with its log, and its stops."""

from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name, simulates
from chassis.clock import utc_now
from push_blaster.adapters.approval_table import select_approval
from push_blaster.adapters.delivery_report import select_funnels
from push_blaster.adapters.execution_log import select_log_end
from push_blaster.adapters.execution_view import select_execution, select_executions, select_phases
from push_blaster.domain.approval import Approval, Hashes, hash_what_is_sent
from push_blaster.domain.phase import ENDED, RUNNING, Phase
from push_blaster.use_cases.approve_execution import approve_execution
from push_blaster.use_cases.parts import Parts
from push_blaster.use_cases.resume_execution import resume_execution
from push_blaster.use_cases.stop_execution import Receipt, cancel_execution, stop_execution
from push_blaster.web.audit import stops
from push_blaster.web.cursors import read_cursor, read_instant, write_cursor
from push_blaster.web.pages.execution_card import make_card
from push_blaster.web.pages.frame import page_routes

PAGE: Final = 50
#: How much of the end of a log is in the page itself; what comes later follows live.
LOG_LINES: Final = 200
#: What has to be typed to stop a live send.
WORD: Final = "STOP"

FILTERS: Final = {"all": (), "running": RUNNING, "ended": ENDED, "failed": {Phase.FAILED}}


def execution_pages(parts: Parts) -> Blueprint:
    """Return the pages about executions."""
    pages = page_routes("executions")
    database = parts.database

    @pages.get("/executions")
    def list_all() -> ResponseReturnValue:
        """List executions, newest first."""
        show = request.args.get("show", "all")
        automation_id = request.args.get("automation") or None
        before = read_cursor(request.args.get("before"), read_instant, str)
        with database.transaction() as connection:
            found = select_executions(
                connection,
                automation_id=automation_id,
                phases=FILTERS.get(show, ()),
                before=before,
                limit=PAGE,
            )
        older = write_cursor(found[-1].created_at, found[-1].id) if len(found) == PAGE else None
        return render_template(
            "executions.html",
            cards=[make_card(e) for e in found],
            show=show,
            shows=list(FILTERS),
            automation_id=automation_id,
            older=older,
        )

    @pages.get("/executions/<execution_id>")
    def show(execution_id: str) -> ResponseReturnValue:
        """Show one execution."""
        return render_template("execution.html", **_read(parts, execution_id, with_log=True))

    @pages.get("/live/executions/<execution_id>")
    def live(execution_id: str) -> ResponseReturnValue:
        """Return what changes on its page."""
        return render_template("parts/execution.html", **_read(parts, execution_id))

    @pages.get("/executions/<execution_id>/<any(cancel,stop,approve,resume):action>")
    @asks_for(Role.OPERATOR)
    def confirm(execution_id: str, action: str) -> ResponseReturnValue:
        """Ask whether that is meant; shown as a dialogue where there is JavaScript."""
        read = _read(parts, execution_id)
        return render_template("execution_confirm.html", action=action, word=WORD, **read)

    @pages.post("/executions/<execution_id>/cancel")
    @stops()
    @simulates
    @asks_for(Role.OPERATOR)
    def cancel(execution_id: str) -> ResponseReturnValue:
        """Cancel it before it goes live."""
        return _end(
            execution_id,
            lambda reason: cancel_execution(
                database, execution_id, reason or f"Cancelled by {caller_name()}.", utc_now()
            ),
        )

    @pages.post("/executions/<execution_id>/stop")
    @stops()
    @simulates
    @asks_for(Role.OPERATOR)
    def stop(execution_id: str) -> ResponseReturnValue:
        """Stop it in any phase."""
        card = _read(parts, execution_id)["card"]
        if card.is_live and request.form.get("word", "").strip().upper() != WORD:
            flash(f"Nothing was stopped: type {WORD} to confirm.", "error")
            return redirect(url_for(".confirm", execution_id=execution_id, action="stop"), 303)
        return _end(
            execution_id,
            lambda reason: stop_execution(
                database, execution_id, reason or f"Stopped by {caller_name()}.", utc_now()
            ),
        )

    @pages.post("/executions/<execution_id>/approve")
    @simulates
    @asks_for(Role.OPERATOR)
    def approve(execution_id: str) -> ResponseReturnValue:
        """Approve what the form showed."""
        seen = Hashes(request.form.get("content", ""), request.form.get("audience", ""))
        by = request.form.get("by", "").strip() or caller_name()
        approval = Approval(by=by, at=utc_now(), hashes=seen)
        approve_execution(database, parts.cadence, execution_id, approval)
        flash("Approved: it goes live at its time, unless something changes.", "success")
        return redirect(url_for(".show", execution_id=execution_id), 303)

    @pages.post("/executions/<execution_id>/resume")
    @asks_for(Role.OPERATOR)
    def resume(execution_id: str) -> ResponseReturnValue:
        """Go on with it: a new execution, to whoever was not sent to."""
        asked = (f"page/{request.form['once']}", None)
        started = resume_execution(database, execution_id, asked, parts.limits, utc_now())
        flash("Started: it goes to those only who were not sent to.", "success")
        return redirect(url_for(".show", execution_id=started.id), 303)

    return pages


def _end(execution_id: str, act: Callable[[str], Receipt]) -> ResponseReturnValue:
    receipt = act(request.form.get("reason", "").strip())
    funnels = receipt.funnels.values()
    sent, doubtful, spared = (
        sum(funnel[name] for funnel in funnels) for name in ("sent", "inDoubt", "notSent")
    )
    text = f"Stopped. {sent} were sent to, {spared} will not be, {doubtful} are in doubt."
    flash(text, "success")
    return redirect(url_for(".show", execution_id=execution_id), 303)


def _read(parts: Parts, execution_id: str, *, with_log: bool = False) -> dict[str, Any]:
    with parts.database.transaction() as connection:
        execution = select_execution(connection, execution_id)
        counted = select_funnels(connection, execution_id)
        phases = select_phases(connection, [execution_id]).get(execution_id, [])
        approval = select_approval(connection, execution_id)
        log = select_log_end(connection, execution_id, LOG_LINES) if with_log else []
    return {
        "now": utc_now(),
        "card": make_card(execution, counted),
        "execution": execution,
        "phases": phases,
        "approval": approval,
        "hashes": hash_what_is_sent(execution.automation.pushes, execution.pushes),
        "log": log,
    }
