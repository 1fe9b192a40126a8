"""The content of a single push in a form: its fields are those of an automation's form."""

from collections.abc import Mapping
from typing import Any, Final

from push_blaster.adapters.automations.content_schema import CONTENT_FIELDS
from push_blaster.web.automations.automation_fields import (
    entry_of,
    find_rows,
    has_fault,
    label_of,
    read_content_fields,
)
from push_blaster.web.automations.form_fields import Form

#: The place of the push in an automation's form.
_PLACE: Final = "pushSequence.0."


def place_of(name: str) -> str:
    """Return the name of a field in the form: those of the content have the form's names."""
    return f"{_PLACE}{name}" if name in CONTENT_FIELDS.values() else name


def read_push_form(form: Form, old: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the fields of the form, those of the content under their names in documents.

    Shape: `old` is the content that the form changes; what the form does not show of it is kept.
    """
    texts = {name: text for name, text in form.items() if not name.startswith(_PLACE)}
    return {**texts, **read_content_fields(form, _PLACE, old or {})}


def show_content(form: Mapping[str, Any]) -> Mapping[str, object]:
    """Return what the template of the content's fields needs besides the errors."""
    return {
        "value": lambda path, usual=None: form.get(path.removeprefix(_PLACE), usual),
        "place": _PLACE,
        "entry_of": entry_of,
        "label_of": label_of,
        "find_rows": find_rows,
        "has_fault": has_fault,
    }
