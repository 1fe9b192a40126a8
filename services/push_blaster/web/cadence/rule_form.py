"""The form of the cadence rules: every rule in order, and one more line for a new one."""

from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import MultiDict

from push_blaster.web.automations.form_fields import read_number


def read_rules_form(form: MultiDict[str, str]) -> list[Mapping[str, Any]]:
    """Return the rules as the cadence service takes them; a line without a name is no rule.

    A text that is not a number stays as it was typed; the service then refuses it.
    """
    rules = [_read_rule(form, index) for index in form.getlist("order")]
    return [rule for rule in rules if rule["name"]]


def _read_rule(form: MultiDict[str, str], index: str) -> Mapping[str, Any]:
    def text(name: str) -> str:
        return form.get(f"rule.{index}.{name}", "").strip()

    return {
        "name": text("name"),
        "description": text("description"),
        "appliesToLayers": _layers(form, f"rule.{index}.appliesToLayers"),
        "countedLayers": _layers(form, f"rule.{index}.countedLayers"),
        "windowHours": read_number(text("windowHours")),
        "maxCount": read_number(text("maxCount")),
        "isActive": f"rule.{index}.isActive" in form,
    }


def _layers(form: MultiDict[str, str], name: str) -> list[int]:
    return [int(layer) for layer in form.getlist(name) if layer.isdigit()]
