"""The page on which an automation is tested: the checks, and the four test modes."""

from typing import Final

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.executions.execution_view import select_executions
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.modes import TEST_MODES, Mode
from push_blaster.use_cases.automations.check_automation import check_automation
from push_blaster.use_cases.context import WebContext
from push_blaster.web.automations.automation_fields import describe
from push_blaster.web.automations.ways_to_try import WAYS
from push_blaster.web.executions.execution_card import make_cards
from push_blaster.web.frame.frame import once_key, page_routes
from push_blaster.web.frame.starts import start_for_caller

RUNS: Final = 10

#: The modes: what each does, and whether it sends anything.
OFFERED: Final = (
    (Mode.REAL_DRY_RUN, "Runs every step with the real audience. Nothing is sent."),
    (Mode.TEST_DRY_RUN, "Renders the messages for the test users. Nothing is sent."),
    (Mode.TEST_LIVE_SEND, "Sends the messages to the test users, as layer 4."),
    (
        Mode.TEST_SCHEDULED_SEND,
        "Runs the whole timeline in shortened time and sends every push to the test users only.",
    ),
)

#: The checks in words, and the field of the form that each is mostly about.
CHECKS: Final = {
    "Configuration": ("Source of the audience", "audienceCriteria.customScript.scriptId"),
    "Schedule": ("Schedule", "schedule.frequency"),
    "Push Sequence": ("Pushes", "pushSequence.0.title"),
    "Audience Criteria": ("Audience", "audienceCriteria.customScript.scriptId"),
    "Timeline Calculation": ("Length of an execution", "schedule.leadTimeMinutes"),
    "Service Integration Health": ("Cadence, provider and engines", ""),
    "Safety Controls": ("Test users and safeguards", "settings.testUserIds"),
    "Storage Operations": ("Storage", ""),
    "Dry Run Simulation": ("Last dry run", ""),
    "Performance": ("Time that the audience takes", "schedule.leadTimeMinutes"),
}


def test_pages(context: WebContext) -> Blueprint:
    """Return the page for tests of automations."""
    pages = page_routes("tests")

    @pages.get("/automations/<automation_id>/test")
    @asks_for(Role.OPERATOR)
    def show(automation_id: str) -> ResponseReturnValue:
        """Show the checks, the modes, and earlier tests."""
        document = context.files.load(automation_id)
        modes = sorted(TEST_MODES)
        with context.database.transaction() as connection:
            runs = select_executions(
                connection, ExecutionFilter(automation_id=automation_id, modes=modes), limit=RUNS
            )
            cards = make_cards(connection, runs)
        return render_template(
            "test.html",
            automation=read_automation(document),
            checks=check_automation(document, context, utc_now()),
            offered=OFFERED,
            check_names=CHECKS,
            describe=describe,
            ways=WAYS,
            cards=cards,
        )

    @pages.post("/automations/<automation_id>/test")
    @asks_for(Role.OPERATOR, simulates=True)
    def start(automation_id: str) -> ResponseReturnValue:
        """Start a test, and go to its log; a live send is not a test."""
        given = request.form["mode"]
        if given not in list(Mode):
            raise ValidationError({"mode": [f"Use one of {', '.join(sorted(TEST_MODES))}."]})
        mode = Mode(given) if given in TEST_MODES else Mode.TEST_DRY_RUN
        execution = start_for_caller(context, automation_id, mode, once_key())
        return redirect(url_for("pages_executions.show", execution_id=execution.id), 303)

    return pages
