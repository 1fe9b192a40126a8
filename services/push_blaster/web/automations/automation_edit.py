"""What somebody has changed in the form of an automation, and what others have saved meanwhile."""

from collections.abc import Callable, Mapping, MutableMapping, Set
from dataclasses import dataclass
from typing import Any, Final

from flask import request

from push_blaster.adapters.automations.automation_document import complete_or_why
from push_blaster.use_cases.automations.restore_version import STAYS
from push_blaster.web.automations.automation_form import BLANK
from push_blaster.web.frame.conflicts import read_choices, read_drawn
from push_blaster.web.frame.document_paths import find_differences
from push_blaster.web.frame.merging import UNKNOWN, Merge, merge

#: Fields that every saving changes.
_OF_SAVING: Final = frozenset({"version", "updatedAt"})


@dataclass(frozen=True, slots=True)
class AutomationEdit:
    """The form of an automation that was sent.

    Shape: `base` is the saved document that the form was drawn from, or UNKNOWN; `mine` is what the
    form makes of it; `current` is the saved document of now. A form of an automation that is gone
    makes a new one, which has all of the old one that the form does not show.
    """

    base: Any
    mine: MutableMapping[str, Any]
    current: Mapping[str, Any]

    @property
    def is_stale(self) -> bool:
        """Whether somebody has changed the document, or its file, since the form was drawn."""
        if self.saved is None:
            return False
        is_newer = self.mine.get("version") != self.current.get("version")
        return is_newer or any(find_differences(self.base, self.current))

    @property
    def saved(self) -> Mapping[str, Any] | None:
        """The saved document; None for a new automation."""
        return self.current if "version" in self.current else None


def read_edit(
    current: Mapping[str, Any], read: Callable[[Mapping[str, Any]], MutableMapping[str, Any]]
) -> AutomationEdit:
    """Return the form of this request; `read` lays its fields over a document."""
    if "version" not in current:
        drawn = read_drawn()
        base, _ = complete_or_why(drawn) if isinstance(drawn, dict) else (None, None)
        return AutomationEdit(base or BLANK, _make_new(read(base or BLANK)), BLANK)
    version = request.form.get("version", 0, type=int)
    base = _read_base(version, current)
    mine = read(current if base is UNKNOWN else base)
    return AutomationEdit(base, {**mine, "version": version}, current)


def merge_edit(edit: AutomationEdit) -> Merge:
    """Return the current document with what the person has changed in the form."""
    version = edit.current["version"]
    base, mine, theirs = map(_without_numbers, (edit.base, edit.mine, edit.current))
    merged = merge(base, mine, theirs, "id", read_choices(version))
    merged.document = {**_with_numbers(merged.document), "version": version}
    return merged


def _make_new(document: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return a document without what makes it the automation that it was."""
    return {name: value for name, value in document.items() if name not in STAYS}


def _read_base(version: int, current: Mapping[str, Any]) -> Any:
    """Return what the form was drawn from; a file may change and keep its version."""
    drawn = read_drawn()
    base, _ = complete_or_why(drawn) if isinstance(drawn, dict) else (None, None)
    if base and base["version"] == version:
        return base
    return current if version == current["version"] else UNKNOWN


def _without_numbers(document: Any) -> Any:
    """Return a document without the numbers of its pushes, which follow from their order."""
    if document is UNKNOWN:
        return UNKNOWN
    pushes = [_leave_out(push, {"sequenceOrder"}) for push in document["pushSequence"]]
    return {**_leave_out(document, _OF_SAVING), "pushSequence": pushes}


def _with_numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    numbered = enumerate(document["pushSequence"], start=1)
    return {**document, "pushSequence": [{**push, "sequenceOrder": n} for n, push in numbered]}


def _leave_out(part: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in names}
