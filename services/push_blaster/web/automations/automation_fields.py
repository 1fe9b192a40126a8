"""The fields of an automation's form, as the schema declares them.

A field's name in the form is its path in the document, such as `pushSequence.0.title`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from marshmallow import fields

from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.adapters.automations.field_declaration import FormField, Widget, find_form_fields
from push_blaster.web.automations.form_fields import (
    Form,
    Read,
    actions,
    chosen,
    days,
    flag,
    json_object,
    keep_actions,
    lines,
    number,
    optional,
    pairs,
    percentage,
    text,
    write_actions,
    write_json,
    write_pairs,
)
from push_blaster.web.frame.document_paths import Difference, find_differences

_WIDE: Final = frozenset({"area", "tick", "lines", "days", "devices", "actions", "pairs", "json"})
_READS: Final[Mapping[str, Read]] = {
    "percent": percentage,
    "tick": flag,
    "lines": lines,
    "days": days,
    "devices": chosen,
    "actions": actions,
    "pairs": pairs,
    "json": json_object,
}
#: How the form shows values that its widgets do not show by themselves.
WRITES: Final[Mapping[str, Callable[[object], str]]] = {
    "actions": write_actions,
    "pairs": write_pairs,
    "json": write_json,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A field of the form, with what reads its text."""

    form: FormField
    widget: Widget
    read: Read
    usual: object
    options: Sequence[tuple[str, str]] = ()

    @property
    def written(self) -> Callable[[object], str] | None:
        """What writes the value as text; None if the widget shows the value by itself."""
        return WRITES.get(self.widget)

    def lay_over(self, old: object, new: object) -> object:
        """Return the new value, with what the form does not show of the old one."""
        written = self.written
        if written is not None and written(old or "") == written(new or ""):
            return old
        if self.widget == "tick" and not new and not old and not self.usual:
            return old  # an empty box says nothing of a field that was never set
        return keep_actions(old, new) if self.widget == "actions" else new

    @property
    def is_wide(self) -> bool:
        """Whether the field takes the whole width of the form; other fields stand side by side."""
        return self.widget in _WIDE


def _make_entry(field: fields.Field[Any], form: FormField) -> Entry:
    widget = form.widget or ("choice" if form.choices else _find_widget(field))
    default = field.load_default if isinstance(field.load_default, int | float) else ""
    options = list(form.choices.items())
    if options and field.allow_none:
        options = [("", f"{options[0][1]} (default)"), *options]
    read = _READS.get(widget) or _find_read(field)
    return Entry(form, widget, read, form.usual or default, options)


def _find_widget(field: fields.Field[Any]) -> Widget:
    widgets = (w for kind, w in _WIDGETS.items() if isinstance(field, kind))
    return next(widgets, "text")


_WIDGETS: Final[Mapping[type[fields.Field[Any]], Widget]] = {
    fields.Number: "number",
    fields.Boolean: "tick",
    fields.List: "lines",
}


def _find_read(field: fields.Field[Any]) -> Read:
    if isinstance(field, fields.Number):
        return number
    return optional if field.allow_none and field.load_default != "" else text


ENTRIES: Final[Mapping[str, Entry]] = {
    path: _make_entry(field, form) for path, field, form in find_form_fields(AutomationSchema())
}
PUSH: Final = "pushSequence.#."
VARIANT: Final = "pushSequence.#.variants.#."

#: Fields that the form does not ask for: other code or its buttons set them.
MANAGED: Final = frozenset(
    {
        "id",
        "version",
        "status",
        "isActive",
        "isArchived",
        "activatedAt",
        "createdAt",
        "updatedAt",
        "pushSequence.#.id",
        "pushSequence.#.sequenceOrder",
        "pushSequence.#.status",
        *(f"pushSequence.#.actions.#.{name}" for name in ("id", "title", "deepLink")),
    }
)

#: What a comparison of two documents does not show.
UNSHOWN: Final = frozenset({"version", "createdAt", "updatedAt", "activatedAt"})
#: The words for fields that the form does not ask for.
_LABELS: Final = {"status": "Status", "isActive": "Active", "isArchived": "Archived"}

#: The path of the script's parameters; each is a field that the script declares.
PARAMETERS: Final = "audienceCriteria.customScript.parameters"


def shape_of(path: str) -> str:
    """Return a path without the places in its lists: `pushSequence.#.title`."""
    return re.sub(r"\.\d+(?=\.|$)", ".#", path)


def path_in_form(path: str) -> str:
    """Return a path such as `pushSequence[0].title` as the form has it: `pushSequence.0.title`.

    A path within a field of the form, such as one of its lines, becomes that of the field.
    """
    path = path.replace("[", ".").replace("]", "")
    parts = path.split(".")
    above = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((one for one in above if shape_of(one) in ENTRIES), path)


def entry_of(path: str) -> Entry:
    """Return the form's field at a path."""
    return ENTRIES[shape_of(path)]


def read_content_fields(form: Form, at: str, old: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form says about the content of the push at a place; no empty fields.

    Shape: `old` is the content before, of which the form does not show everything.
    """
    names = {
        shape.removeprefix(PUSH): entry
        for shape, entry in ENTRIES.items()
        if entry.form.section == "push more"
    }
    found = {
        name: entry.lay_over(old.get(name), entry.read(form, at + name))
        for name, entry in names.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def find_rows(section: str, at: str = "") -> list[list[str]]:
    """Return the paths of a section's fields; paths of fields that stand side by side are together.

    Shape: `at` is the place of the push or variant that the section is about.
    """
    found = [shape for shape, entry in ENTRIES.items() if entry.form.section == section]
    rows = groupby(found, key=lambda shape: ENTRIES[shape].is_wide)
    start = shape_of(at)
    return [[at + shape.removeprefix(start) for shape in row] for _, row in rows]


def has_fault(section: str, errors: Mapping[str, str]) -> bool:
    """Return whether a complaint is about a field of the section, or about a part around one."""
    shapes = [f"{shape}." for shape, entry in ENTRIES.items() if entry.form.section == section]
    faults = [f"{shape_of(path)}." for path in errors]
    return any(f.startswith(shape) or shape.startswith(f) for f in faults for shape in shapes)


def label_of(path: str) -> str:
    """Return the label of the field at a path; the path itself if the form has no such field."""
    entry = ENTRIES.get(shape_of(path))
    return entry.form.label if entry else _LABELS.get(path, path.removeprefix(f"{PARAMETERS}."))


def describe(path: str) -> str:
    """Return the label of the field at a path, with its push: `Push 1: Title`."""
    found = re.match(r"pushSequence\.(\d+)(?:\.variants\.(\d+))?(?:\.(.+)|$)", path)
    if not found:
        return label_of(path)
    place = f"Push {int(found[1]) + 1}"
    if found[2]:
        place += f", variant {int(found[2]) + 1}"
    rest = path if shape_of(path) in ENTRIES else found[3] or ""
    return f"{place}: {label_of(rest)}" if rest else place


def find_changes(before: object, after: object) -> list[Difference]:
    """Return the differences of two documents that a person wants to see."""
    return [one for one in find_differences(before, after) if one.path not in UNSHOWN]


def find_kept(document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the paths and values of a document that the form does not show; they are kept."""
    for path, value, _ in find_differences(document, {}):
        shape = shape_of(path)
        is_parameter = path == PARAMETERS or path.startswith(f"{PARAMETERS}.")
        is_shown = shape_of(path_in_form(path)) in ENTRIES
        if not is_shown and shape not in MANAGED and not is_parameter:
            yield path, value
