"""Plan an automation: its next slots, and findings about it and its neighbours."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from push_blaster.adapters.cadence_client import CadenceUnavailableError
from push_blaster.domain.automation import Automation
from push_blaster.domain.cadence import CadenceRule
from push_blaster.domain.plan import Finding, FindingKind, find_crowding, find_findings
from push_blaster.domain.schedule import Slot, next_slots

#: Returns the cadence rules in force; CadenceUnavailableError.
ReadRules = Callable[[], Sequence[CadenceRule]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The next slots of an automation, and what stands out about them."""

    automation: Automation
    slots: list[Slot]
    findings: list[Finding]


def plan_automation(
    automation: Automation,
    others: Iterable[Automation],
    read_rules: ReadRules,
    after: datetime,
    count: int,
) -> Plan:
    """Return the first `count` slots after `after`, whether or not the automation is active."""
    slots = next_slots(automation.schedule, after, count)
    findings = find_findings(automation, slots)
    try:
        findings += find_crowding(automation, slots, others, read_rules())
    except CadenceUnavailableError as error:
        findings.append(
            Finding(
                FindingKind.RULES_UNKNOWN,
                f"Whether caps are in the way could not be looked at: {error}.",
            )
        )
    return Plan(automation, slots, findings)
