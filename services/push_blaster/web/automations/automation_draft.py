"""The outlook of a draft: its plan, its messages, and its faults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from marshmallow import ValidationError

from chassis.clock import utc_now
from chassis.problems import flatten_messages
from push_blaster.adapters.automations.automation_document import read_draft
from push_blaster.domain.audiences.script import Parameter, ParametersError, read_parameters
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.plan_automation import Plan, load_context, plan_automation
from push_blaster.web.automations.automation_fields import PARAMETERS, path_in_form
from push_blaster.web.automations.automation_form import Declared
from push_blaster.web.automations.automation_samples import Sample, read_samples
from push_blaster.web.automations.shown_findings import ShownTheme, show_findings
from push_blaster.web.frame.document_paths import find

SLOTS: Final = 5
#: The parts of a document in the order in which the form has them.
_PARTS: Final = ("name", "description", "schedule", "audienceCriteria", "pushSequence", "settings")
_NOT_WRITTEN_YET: Final = "…"


@dataclass(frozen=True, slots=True)
class Outlook:
    """The plan, the sample messages and the faults of a draft.

    Shape: `faults` are complaints by the path of their field; `plan` is None, and there are no
    `samples`, as long as the draft is too incomplete.
    """

    faults: Mapping[str, str]
    plan: Plan | None = None
    samples: Sequence[Sample] = ()

    @property
    def themes(self) -> Sequence[ShownTheme]:
        """The findings of the plan, by theme."""
        return show_findings(self.plan.findings) if self.plan else ()


def look_at_draft(document: Mapping[str, Any], context: WebContext, declared: Declared) -> Outlook:
    """Return the plan, the messages and the faults of a draft; texts may still be missing."""
    faults = find_faults(document, declared)
    try:
        automation = read_draft(_with_some_texts(document), utc_now())
    except ValidationError:
        return Outlook(faults)
    with context.database.transaction() as connection:
        samples = read_samples(connection, context.data_folder, automation)
    plan = plan_automation(automation, load_context(context), utc_now(), SLOTS)
    return Outlook(faults, plan, samples)


def find_faults(document: Mapping[str, Any], declared: Declared) -> dict[str, str]:
    """Return every complaint about a draft, by the path of its field, as the form has them."""
    faults = _find_parameter_faults(document, declared)
    try:
        read_draft(document, utc_now())
    except ValidationError as error:
        lines = (line.partition(": ") for line in flatten_messages(error.messages))
        faults |= {path_in_form(path): text for path, _, text in lines}
    return dict(sorted(faults.items(), key=_place))


def _place(fault: tuple[str, str]) -> int:
    part = fault[0].partition(".")[0]
    return _PARTS.index(part) if part in _PARTS else len(_PARTS)


def _find_parameter_faults(document: Mapping[str, Any], declared: Declared) -> dict[str, str]:
    script = find(document, "audienceCriteria.customScript", {})
    parameters: Sequence[Parameter] = declared(script.get("scriptId") or "")
    try:
        read_parameters("", parameters, script.get("parameters") or {})
    except ParametersError as error:
        known = {parameter.name for parameter in parameters}
        strangers = [
            f"{name}: {fault}" for name, fault in error.faults.items() if name not in known
        ]
        faults = {f"{PARAMETERS}.{n}": fault for n, fault in error.faults.items() if n in known}
        return faults | ({PARAMETERS: " ".join(strangers)} if strangers else {})
    return {}


def _with_some_texts(document: Mapping[str, Any]) -> dict[str, object]:
    pushes = [
        {**push, "title": push.get("title") or _NOT_WRITTEN_YET}
        for push in document["pushSequence"]
    ]
    name = document.get("name") or _NOT_WRITTEN_YET
    return {**document, "name": name, "pushSequence": pushes}
