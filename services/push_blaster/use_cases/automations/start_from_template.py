"""Start from a template: fill in its variables, and create a draft automation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from push_blaster.adapters.automations.content_schema import pick_content
from push_blaster.adapters.automations.template_schema import read_variables
from push_blaster.domain.automations.automation_template import (
    DELAY_HOURS,
    LINK_HOST,
    Value,
    Variable,
    complete_values,
    fill_in,
    fill_in_all,
    fill_in_link,
    write_texts,
    write_value,
)
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.automations.change_automation import new_document

_TEXTS: Final = ("title", "body", "deepLink", "imageUrl")


class LinkNotAllowedError(Exception):
    """The filled-in template has a deep link that is not allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A template, with values and overrides, to start an automation from.

    Shape: of `overrides`, `schedule`, `settings` and `audienceCriteria` are merged into the
    template's, at every level; the other fields replace the template's.
    """

    template: Mapping[str, Any]
    variables: Mapping[str, object]
    overrides: Mapping[str, Any]


def draft_automation(start: Start, limits: Limits, now: datetime) -> Mapping[str, Any]:
    """Return the complete draft that a template makes, without writing it.

    Raises: BadVariablesError, LinkNotAllowedError, ValidationError.
    """
    template, overrides = start.template, start.overrides
    variables = read_variables(template)
    values = complete_values(variables, _with_host(variables, start.variables, limits))
    texts = write_texts(variables, values)
    draft = {
        "name": template["name"],
        "description": template.get("description"),
        **overrides,
        "type": "sequence",
        "status": "draft",
        "isActive": False,
        "template": _show_origin(template, variables, values),
        "schedule": _merge(template["defaultSchedule"], overrides.get("schedule") or {}),
        "settings": _merge(template["defaultSettings"], overrides.get("settings") or {}),
        "audienceCriteria": _audience(template, overrides, values),
        "pushSequence": [
            _push(push, texts, _delay(push, number, values))
            for number, push in enumerate(template["pushTemplates"])
        ],
        "metadata": {
            "createdBy": "template_system",
            "templateId": template["id"],
            "templateVariables": values,
        },
    }
    _check_links(draft["pushSequence"], limits)
    return new_document(draft, now)


def _with_host(
    variables: tuple[Variable, ...], given: Mapping[str, object], limits: Limits
) -> dict[str, object]:
    """Return the given values, with the first allowed host of deep links if none was given."""
    is_open = any(v.name == LINK_HOST and v.default is None for v in variables)
    if is_open and limits.links.hosts and given.get(LINK_HOST) is None:
        return {**given, LINK_HOST: min(limits.links.hosts)}
    return dict(given)


def _show_origin(
    template: Mapping[str, Any], variables: tuple[Variable, ...], values: Mapping[str, Value]
) -> Mapping[str, Any]:
    return {
        **{name: template[name] for name in ("id", "name", "category", "isSystemTemplate")},
        "config": {
            "requiredVariables": [v.name for v in variables if v.required],
            "usedVariables": values,
        },
    }


def _audience(
    template: Mapping[str, Any], overrides: Mapping[str, Any], values: Mapping[str, Value]
) -> Mapping[str, Any]:
    """Return the criteria of the audience; its script gets the variables as parameters."""
    criteria = _merge(
        template.get("audienceTemplate") or {}, overrides.get("audienceCriteria") or {}
    )
    given = {name: write_value(value) for name, value in values.items()}
    if not isinstance(criteria.get("customScript"), Mapping):
        return criteria
    return _merge({"customScript": {"parameters": given}}, criteria)


def _delay(push: Mapping[str, Any], number: int, values: Mapping[str, Value]) -> Mapping[str, Any]:
    timing = dict(push["timing"])
    hours = values.get(DELAY_HOURS)
    if number and isinstance(hours, int | float):
        timing["delayAfterPrevious"] = hours * 60
    return timing


def _push(
    push: Mapping[str, Any], texts: Mapping[str, str], timing: Mapping[str, Any]
) -> Mapping[str, Any]:
    return {
        "sequenceOrder": push["sequenceOrder"],
        "title": fill_in(push["titleTemplate"], texts),
        "body": fill_in(push["bodyTemplate"], texts),
        "deepLink": fill_in_link(push["deepLinkTemplate"] or "", texts),
        "layerId": push["layerId"],
        "timing": timing,
        "audienceName": push.get("audienceName"),
        "variants": [_fill_in_variant(one, texts) for one in push.get("variants") or ()],
        "experiment": push.get("experiment"),
        **fill_in_all(pick_content(push), texts),
    }


def _fill_in_variant(variant: Mapping[str, Any], texts: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the variant; a text that is empty without its variables becomes the push's own."""
    written = {name: variant[name] for name in _TEXTS if variant.get(name)}
    filled = {name: text for name, text in fill_in_all(written, texts).items() if text}
    return {**{name: value for name, value in variant.items() if name not in written}, **filled}


def _check_links(pushes: list[Mapping[str, Any]], limits: Limits) -> None:
    for number, push in enumerate(pushes, start=1):
        link = push["deepLink"]
        fault = limits.links.find_fault_as_written(link)
        if fault:
            raise LinkNotAllowedError(
                f"Push {number}: the deep link {link!r} {fault}. Give another {LINK_HOST}, or "
                "change the template's deepLinkTemplate."
            )


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `under` with the fields of `over`; objects that both have are merged."""
    merged = {**under, **over}
    for name in under.keys() & over.keys():
        if isinstance(under[name], Mapping) and isinstance(over[name], Mapping):
            merged[name] = _merge(under[name], over[name])
    return merged
