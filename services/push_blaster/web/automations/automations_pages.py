"""The pages about automations: the list, one automation with plan and runs, its control."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.adapters.automations.document_files import BrokenDocumentError
from push_blaster.adapters.executions.execution_view import (
    LatestRun,
    select_executions,
    select_latest,
)
from push_blaster.adapters.funnels import select_funnels
from push_blaster.adapters.operations.destination_table import select_destinations
from push_blaster.adapters.operations.troubled_executions import TROUBLE_LASTS, select_troubled
from push_blaster.domain.access.token import mark_of
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import RUNNING
from push_blaster.use_cases.automations.control_automation import Action, Control, find_actions
from push_blaster.use_cases.automations.list_automations import contains_text
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.plan_automation import load_context, plan_automation
from push_blaster.use_cases.schedule.refuse_activation import find_fatal
from push_blaster.use_cases.schedule.slots_ahead import find_cancelled_slots, find_next_slot
from push_blaster.web.access.audit import stops
from push_blaster.web.automations.automation_samples import read_samples
from push_blaster.web.automations.shown_findings import show_findings
from push_blaster.web.automations.ways_to_try import WAYS
from push_blaster.web.engagement.shown_results import USUAL_DAYS, read_one
from push_blaster.web.engagement.sparklines import Sparkline, read_sparklines
from push_blaster.web.executions.execution_card import Badge, find_badge, make_cards
from push_blaster.web.frame.frame import once_key, page_routes
from push_blaster.web.frame.starts import start_for_caller

PAGE: Final = 50
RUNS: Final = 10
SLOTS: Final = 5
MAX_TROUBLED: Final = 1_000

STATES: Final[Mapping[str, Callable[[Automation], bool]]] = {
    "all": lambda automation: not automation.is_archived,
    "scheduled": lambda automation: automation.is_scheduled,
    "paused": lambda automation: automation.is_paused,
    "draft": lambda automation: automation.status == "draft" and not automation.is_archived,
    "archived": lambda automation: automation.is_archived,
}
#: Automations whose last live run failed, was missed or was not checked by cadence.
TROUBLED: Final = "in trouble"

QUESTIONS: Final = {
    "run": ("Run it now?", "Run now"),
    "pause": ("Pause this automation?", "Pause"),
    "resume": ("Resume this automation?", "Resume"),
    "schedule": ("Schedule this automation?", "Schedule"),
}


def automation_pages(context: WebContext) -> Blueprint:
    """Return the pages about automations."""
    pages = page_routes("automations")
    _add_looks(pages, context)
    _add_actions(pages, context)
    return pages


def _add_looks(pages: Blueprint, context: WebContext) -> None:
    @pages.get("/automations")
    def list_all() -> ResponseReturnValue:
        """List automations, by name."""
        first = max(0, request.args.get("from", 0, type=int))
        fitting = find_fitting(context)
        return render_template(
            "automations.html",
            rows=_find_rows(context.database, fitting[first : first + PAGE], utc_now()),
            broken=context.files.list_all().broken,
            found=len(fitting),
            seen=mark_matches(fitting),
            first=first,
            page=PAGE,
            q=request.args.get("q", "").strip(),
            show=request.args.get("show", "all"),
            shows=[*STATES, TROUBLED],
        )

    @pages.get("/automations/<automation_id>")
    def show(automation_id: str) -> ResponseReturnValue:
        """Show one automation; if its file cannot be read, the versions that can be restored."""
        try:
            document = context.files.load(automation_id)
        except BrokenDocumentError:
            return redirect(url_for("pages_versions.list_all", automation_id=automation_id))
        automation = read_automation(document)
        with context.database.transaction() as connection:
            runs = select_executions(
                connection, ExecutionFilter(automation_id=automation_id), limit=RUNS
            )
            cards = make_cards(connection, runs)
            samples = read_samples(connection, context.data_folder, automation)
            destinations = select_destinations(connection, only_on=True)
        now = utc_now()
        plan = plan_automation(automation, load_context(context), now, SLOTS)
        return render_template(
            "automation.html",
            automation=automation,
            document=document,
            plan=plan,
            ways=WAYS,
            themes=show_findings(plan.findings),
            cards=cards,
            shown=read_one(context.database, automation_id, USUAL_DAYS, automation, now),
            samples=samples,
            destinations=[one for one in destinations if one.covers(automation_id)],
            actions=find_actions(automation, {r.phase for r in runs if r.phase in RUNNING}),
        )


def _add_actions(pages: Blueprint, context: WebContext) -> None:
    control = Control(context.files, context.database)

    @pages.get("/automations/<automation_id>/<any(run,pause,resume):action>")
    @of_class(RequestClass.STOP)
    @asks_for(Role.OPERATOR)
    def confirm(automation_id: str, action: str) -> ResponseReturnValue:
        """Ask for confirmation."""
        automation = read_automation(context.files.load(automation_id))
        resumes = action == Action.RESUME
        is_first = resumes and automation.was_never_scheduled
        question, button = QUESTIONS["schedule" if is_first else action]
        return render_template(
            "automation_confirm.html",
            automation=automation,
            themes=show_findings(find_fatal(automation, context, utc_now())) if resumes else [],
            action=action,
            question=question,
            button=button,
        )

    @pages.post("/automations/<automation_id>/run")
    @asks_for(Role.OPERATOR, simulates=True)
    def run(automation_id: str) -> ResponseReturnValue:
        """Start the automation now; the same form sent twice starts it once."""
        execution = start_for_caller(context, automation_id, Mode.LIVE, once_key())
        flash("Started. Nothing goes live before the cancellation window has passed.", "success")
        return redirect(url_for("pages_executions.show", execution_id=execution.id), 303)

    @pages.post("/automations/<automation_id>/<any(pause,resume):action>")
    @stops("pause")
    @asks_for(Role.OPERATOR)
    def act(automation_id: str, action: str) -> ResponseReturnValue:
        """Pause or resume the automation."""
        reason = request.form.get("reason", "").strip() or f"{action} by {caller_name()}."
        done = control.act(Action(action), automation_id, reason, utc_now())
        text = f"The automation is {done.document['status']}."
        flash(
            f"{text} Cancelled: {', '.join(done.cancelled)}." if done.cancelled else text, "success"
        )
        return redirect(url_for(".show", automation_id=automation_id), 303)


def find_fitting(context: WebContext) -> list[StoredAutomation]:
    """Return the automations that fit the search and the filter of the list, by name."""
    text, state = request.args.get("q", "").strip(), request.args.get("show", "all")
    found = context.files.read_all().values()
    fitting = [one for one in found if _fits_search(one, text, state)]
    if state == TROUBLED:
        troubled = _find_troubled(context.database, utc_now())
        fitting = [one for one in fitting if one.automation.id in troubled]
    return sorted(fitting, key=lambda one: one.automation.name.lower())


def mark_matches(fitting: Sequence[StoredAutomation]) -> str:
    """Return a text that is another one whenever other automations match."""
    return mark_of(" ".join(sorted(one.automation.id for one in fitting)))


def _fits_search(stored: StoredAutomation, text: str, state: str) -> bool:
    fits_state = STATES.get(state, STATES["all"])(stored.automation)
    return fits_state and contains_text(stored.document, text)


def _find_troubled(database: Database, now: datetime) -> set[str]:
    with database.transaction() as connection:
        found = select_troubled(connection, now - TROUBLE_LASTS, limit=MAX_TROUBLED)
    return {one.automation_id for one in found}


class _Row(NamedTuple):
    """A line of the list."""

    automation: Automation
    next: datetime | None
    last: LatestRun | None
    result: Badge | None
    spark: Sparkline | None


def _find_rows(database: Database, shown: Sequence[StoredAutomation], now: datetime) -> list[_Row]:
    automations = [one.automation for one in shown]
    ids = [automation.id for automation in automations]
    with database.transaction() as connection:
        latest = select_latest(connection, ids)
        sparks = read_sparklines(connection, ids)
        funnels = select_funnels(connection, [run.id for run in latest.values()])
    results = {
        run.automation_id: find_badge(run.phase, funnels[run.id].values())
        for run in latest.values()
    }
    cancelled = find_cancelled_slots(database, now)
    return [
        _Row(
            a,
            find_next_slot(a, now, cancelled),
            latest.get(a.id),
            results.get(a.id),
            sparks.get(a.id),
        )
        for a in automations
    ]
