"""Plan an automation: its next slots, and findings about the automation and its neighbours."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from push_blaster.adapters.audiences.script_folder import ScriptFolder, ScriptNotFoundError
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.domain.audiences.script import ParametersError
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.schedule.cap_conflicts import find_cap_conflicts
from push_blaster.domain.schedule.plan import Finding, FindingKind, find_gaps, find_timing
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.domain.zones import Slot
from push_blaster.use_cases.audiences.fit_parameters import check_parameters
from push_blaster.use_cases.context import WebContext

#: Returns the cadence rules in force; CadenceUnavailableError.
ReadRules = Callable[[], Sequence[CadenceRule]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The next slots of an automation, and findings about them."""

    automation: Automation
    slots: list[Slot]
    findings: list[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """The other automations, rules and limits that a plan considers.

    Shape: without `scripts` the plan does not check the automation's script.
    """

    others: Iterable[Automation]
    read_rules: ReadRules
    limits: Limits
    scripts: ScriptFolder | None = None


def load_context(context: WebContext) -> PlanContext:
    """Return the context in which automations of this service are planned."""
    return PlanContext(
        others=[stored.automation for stored in context.files.read_all().values()],
        read_rules=context.cadence.read_rules,
        limits=context.limits,
        scripts=context.scripts,
    )


def plan_automation(
    automation: Automation, context: PlanContext, after: datetime, count: int
) -> Plan:
    """Return the first `count` slots after `after`, even if the automation is not active."""
    slots = next_slots(automation.schedule, after, count)
    findings = [
        *find_timing(automation, slots, context.limits),
        *find_gaps(automation, context.limits),
        *_find_script_faults(automation, context.scripts),
        *_find_cap_conflicts(automation, slots, context),
    ]
    return Plan(automation, slots, findings)


def _find_script_faults(automation: Automation, scripts: ScriptFolder | None) -> list[Finding]:
    if scripts is None:
        return []
    try:
        check_parameters(scripts, automation)
    except ScriptNotFoundError as error:
        return [Finding(FindingKind.NO_AUDIENCE, str(error))]
    except ParametersError as error:
        return [Finding(FindingKind.BAD_PARAMETERS, str(error))]
    return []


def _find_cap_conflicts(
    automation: Automation, slots: Sequence[Slot], context: PlanContext
) -> list[Finding]:
    try:
        return find_cap_conflicts(automation, slots, context.others, context.read_rules())
    except CadenceUnavailableError as error:
        text = f"Conflicts with cadence rules could not be looked at: {error}."
        return [Finding(FindingKind.RULES_UNKNOWN, text)]
