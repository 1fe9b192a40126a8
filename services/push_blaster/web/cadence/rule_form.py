"""The form of the cadence rules: every rule in order, and one more line for a new one."""

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict

from push_blaster.web.automations.form_fields import read_number, whole_numbers

_VERSION: Final = re.compile(r"[0-9]{1,18}")


def read_rules_form(form: MultiDict[str, str]) -> list[Mapping[str, Any]]:
    """Return the rules as the cadence service takes them; a line without a name is no rule.

    A text that is not a number stays as it was typed; the service then refuses it.
    """
    rules = [_read_rule(form, index) for index in form.getlist("order")]
    return [rule for rule in rules if rule["name"]]


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
        "isActive": f"rule.{index}.isActive" in form,
    }
