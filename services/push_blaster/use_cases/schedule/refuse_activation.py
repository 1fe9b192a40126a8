"""Refuse to make an automation active that will surely fail."""

from collections.abc import Sequence
from datetime import datetime

from chassis.problems import ExplainedError
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.schedule.finding import Finding
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.plan_automation import find_own_faults


class WillFailError(ExplainedError):
    """The automation would be active, but sends nothing at any of its slots."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        """Take the fatal findings."""
        errors = [f"{finding.field}: {finding.message}" for finding in findings]
        text = f"The automation will surely fail, so it is not active. {' '.join(errors)}"
        details = [{"kind": f.kind, "field": f.field, "message": f.message} for f in findings]
        super().__init__(text, errors, {"findings": details})
        self.findings = findings


def find_fatal(automation: Automation, context: WebContext, now: datetime) -> list[Finding]:
    """Return why an automation would send nothing at any of its slots after `now`."""
    slots = next_slots(automation.schedule, now, 1)
    found = find_own_faults(automation, slots, context.limits, context.scripts)
    return [finding for finding in found if finding.is_fatal]


def refuse_activation(
    automation: Automation, context: WebContext, now: datetime, old: Automation | None = None
) -> None:
    """Refuse to put an automation on the clock that will surely fail.

    Shape: `old` is the version before. A draft passes, and so does a change of an automation that
    is on the clock already.
    Raises: WillFailError.
    """
    if not automation.is_scheduled or (old and old.is_scheduled):
        return
    findings = find_fatal(automation, context, now)
    if findings:
        raise WillFailError(findings)
