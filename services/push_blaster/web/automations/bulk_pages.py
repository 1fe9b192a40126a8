"""The pages that pause or resume many automations: the question, and the result of each."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import DatabaseAwayError
from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.domain.automations.automation import Automation
from push_blaster.use_cases.automations.control_automation import Action
from push_blaster.use_cases.automations.control_many import is_for
from push_blaster.use_cases.context import WebContext
from push_blaster.web.access.audit import stops
from push_blaster.web.automations.automations_pages import find_fitting, mark_matches
from push_blaster.web.automations.control import bulk_control
from push_blaster.web.frame.frame import page_routes

#: How many names the question shows.
NAMED: Final = 20
#: How long the ids of the chosen automations may be together.
MAX_IDS: Final = 4 * 1024 * 1024


def bulk_pages(context: WebContext) -> Blueprint:
    """Return the pages about many automations."""
    pages, bulk = page_routes("bulk"), bulk_control(context)

    @pages.url_value_preprocessor
    def let_many_ids_in(*_: object) -> None:
        request.max_form_memory_size = MAX_IDS  # before the form is read for its CSRF token

    @pages.get("/bulk/<any(pause,resume):action>")
    @of_class(RequestClass.STOP)
    @asks_for(Role.OPERATOR)
    def ask(action: str) -> ResponseReturnValue:
        """Ask for confirmation: how many automations change, and which."""
        found = _find_chosen(context)
        chosen = [one.automation for one in found]
        changed = [one for one in chosen if is_for(Action(action), one)]
        return render_template(
            "bulk_confirm.html",
            action=action,
            changed=changed,
            named=NAMED,
            others=len(chosen) - len(changed),
            news=_find_news(found),
            back=request.args,
        )

    @pages.post("/bulk/<any(pause,resume):action>")
    @stops("pause")
    @asks_for(Role.OPERATOR)
    def act(action: str) -> ResponseReturnValue:
        """Pause or resume the automations that the question counted, and say the result of each."""
        reason = request.form.get("reason", "").strip() or f"{action} of many by {caller_name()}."
        ids = request.form.get("ids", "").split()
        report = bulk.act(Action(action), ids, reason, utc_now())
        return render_template(
            "bulk_result.html",
            action=action,
            report=report,
            reason=reason,
            late=_find_late(context, Action(action), ids),
            back=request.args,
        )

    return pages


def _find_news(found: Sequence[StoredAutomation]) -> str | None:
    """Say what has changed since the list was drawn in which somebody chose; None if nothing."""
    if "all" not in request.args:
        gone = len({*request.args.getlist("id")}) - len(found)
        return (
            f"{gone} of those that you chose {'is' if gone == 1 else 'are'} gone." if gone else None
        )
    if request.args.get("seen") in {None, mark_matches(found)}:
        return None
    return f"The list has changed since you saw it: now {len(found)} match."


def _find_late(context: WebContext, action: Action, ids: Collection[str]) -> list[Automation]:
    """Return automations that match now, would change, and were not part of the question."""
    if "all" not in request.args:
        return []
    with suppress(DatabaseAwayError):  # what is done is told in any case
        fitting = [one.automation for one in find_fitting(context)]
        return [one for one in fitting if is_for(action, one) and one.id not in {*ids}]
    return []


def _find_chosen(context: WebContext) -> list[StoredAutomation]:
    """Return the automations that the list's form has chosen: its ticked rows, or all that fit."""
    if "all" in request.args:
        return find_fitting(context)
    known = context.files.read_all()
    return [known[one] for one in dict.fromkeys(request.args.getlist("id")) if one in known]
