"""The form of the cadence rules: every rule in order, and one more line for a new one."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict

from push_blaster.adapters.cadence.cadence_records import JsonObject
from push_blaster.domain.cadence.caps import Cap
from push_blaster.domain.cadence.names import name_rule
from push_blaster.web.automations.form_fields import read_number, whole_numbers
from push_blaster.web.frame.merging import UNKNOWN, Choose, Merge, merge

#: The fields of a new rule that are empty until somebody fills them in.
_TYPED: Final = ("name", "description", "appliesToLayers", "countedLayers")
_FIELDS: Final = (*_TYPED, "windowHours", "maxCount", "isActive")
#: The fields of rules and layers, as the pages name them.
RULE_LABELS: Final = {
    "appliesToLayers": "applies to layers",
    "countedLayers": "counts layers",
    "isActive": "active",
    "isExempt": "exempt",
    "maxCount": "maximum",
    "windowHours": "window in hours",
}
_VERSION: Final = re.compile(r"[0-9]{1,18}")


def read_rules_form(form: MultiDict[str, str]) -> list[Mapping[str, Any]]:
    """Return the rules as the cadence service takes them.

    Left out are the rules that are marked to be removed, and the line for a new rule while it is
    empty. What does not fit, such as a rule without a name, stays as it was typed; the service then
    refuses it.
    """
    lines = form.getlist("order")
    rules = {index: _read_rule(form, index) for index in lines if not _has(form, index, "remove")}
    return [
        rule
        for index, rule in rules.items()
        if not _has(form, index, "isNew") or any(rule[name] for name in _TYPED)
    ]


def _has(form: MultiDict[str, str], index: str, name: str) -> bool:
    return f"rule.{index}.{name}" in form


def read_version(form: MultiDict[str, str]) -> str:
    """Return the version that the form was made from, or an empty text; ValidationError."""
    version = form.get("version", "")
    if version and not _VERSION.fullmatch(version):
        raise ValidationError({"version": ["This is no version; reload the page."]})
    return version


def merge_rules(
    drawn: Any, sent: Sequence[JsonObject], current: Sequence[JsonObject], choose: Choose
) -> Merge:
    """Return the current rules by name, with what the form has changed; ValidationError.

    Shape: `drawn` are the rules that the form was drawn from, if the form says so.
    """
    mine = _by_name(sent)
    if len(mine) < len(sent):
        raise ValidationError({"name": ["Give each rule a name of its own."]})
    base = _by_name(drawn) if _are_rules(drawn) else UNKNOWN
    return merge(base, mine, _by_name(current), "name", choose)


def describe_field(path: str) -> str:
    """Return the words for a field of a rule, such as `cooldown: window in hours`."""
    rule, _, name = path.rpartition(".")
    return f"{name_rule(rule)}: {RULE_LABELS.get(name, name)}" if name in _FIELDS else path


def list_caps(rules: Sequence[JsonObject], exempt: Collection[int]) -> list[Cap]:
    """Return the caps of the active rules, as the cadence service has taken them."""
    return [
        Cap(
            frozenset(rule["appliesToLayers"]) - set(exempt),
            frozenset(rule["countedLayers"]),
            timedelta(hours=rule["windowHours"]),
            rule["maxCount"],
        )
        for rule in rules
        if rule["isActive"]
    ]


def _by_name(rules: Sequence[JsonObject]) -> dict[str, JsonObject]:
    """Return the rules by name, with the fields that the form has."""
    return {str(rule["name"]): {name: rule.get(name) for name in _FIELDS} for rule in rules}


def _are_rules(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value)


def _read_rule(form: MultiDict[str, str], index: str) -> Mapping[str, Any]:
    def text(name: str) -> str:
        return form.get(f"rule.{index}.{name}", "").strip()

    return {
        "name": text("name"),
        "description": text("description"),
        "appliesToLayers": whole_numbers(form, f"rule.{index}.appliesToLayers"),
        "countedLayers": whole_numbers(form, f"rule.{index}.countedLayers"),
        "windowHours": read_number(text("windowHours")),
        "maxCount": read_number(text("maxCount")),
        "isActive": _has(form, index, "isActive"),
    }
