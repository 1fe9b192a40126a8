"""The first steps of a newcomer, with what is done of them, until a live send has gone out."""

from collections.abc import Collection
from typing import Final, NamedTuple

from chassis.bearer_auth import Role
from chassis.postgres import Connection
from push_blaster.adapters.devices.named_devices import select_named_devices
from push_blaster.adapters.executions.execution_view import select_executions
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.modes import TEST_MODES, Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.web.frame.marks import SEEN_RULES

#: The mark of a browser that wants to see no steps.
DISMISSED: Final = "first_steps_dismissed"


class Step(NamedTuple):
    """One step: what to do, why, the page for it, the role that it needs, and whether it is done.

    Shape: `anchor` is the place on the page, if it has one.
    """

    title: str
    about: str
    endpoint: str
    needs: Role
    is_done: bool
    anchor: str | None = None


def find_steps(
    connection: Connection,
    automations: Collection[Automation],
    marks: Collection[str],
    *,
    to_file: bool,
) -> list[Step]:
    """Return the steps in their order; none once a live send has gone out, or all are done."""
    went_out = ExecutionFilter(modes=[Mode.LIVE], phases={Phase.COMPLETED})
    live = select_executions(connection, went_out, limit=1)
    if live or DISMISSED in marks:
        return []
    tried = select_executions(connection, ExecutionFilter(modes=sorted(TEST_MODES)), limit=1)
    steps = [
        Step(
            "Connect a provider",
            "Until then, messages go to a file. Whoever installs the system sets the provider; "
            "then the line below shows the provider.",
            "pages_dashboard.show",
            Role.VIEWER,
            not to_file,
            "health",
        ),
        Step(
            "Register a test device",
            "Your own phone, for example. It shows each push before your users get it.",
            "pages_test_devices.list_all",
            Role.OPERATOR,
            bool(select_named_devices(connection)),
        ),
        Step(
            "See the cadence rules",
            "They limit how many pushes a user gets, whoever sends them.",
            "pages_cadence.rules",
            Role.VIEWER,
            SEEN_RULES in marks,
        ),
        Step(
            "Create an automation",
            "A template is the fastest way. An automation is a draft until you switch it on.",
            "pages_templates.list_all",
            Role.ADMIN,
            bool(automations),
        ),
        Step(
            "Try it out",
            "A dry run goes through all steps and sends nothing; a test goes to your test device.",
            "pages_automations.list_all",
            Role.OPERATOR,
            bool(tried),
        ),
        Step(
            "Switch it on",
            "It sends at its next time, and you can stop it until then.",
            "pages_automations.list_all",
            Role.ADMIN,
            any(automation.is_scheduled for automation in automations),
        ),
    ]
    return [] if all(step.is_done for step in steps) else steps
