"""The form of the cadence rules: every rule in order, and one more line for a new one."""

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict

from push_blaster.web.automations.form_fields import read_number, whole_numbers

#: The fields of a new rule that are empty until somebody fills them in.
_TYPED: Final = ("name", "description", "appliesToLayers", "countedLayers")
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
