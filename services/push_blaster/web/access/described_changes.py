"""The rows of the audit log in words: who did what to which thing, and which fields changed."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from flask import current_app
from werkzeug.exceptions import HTTPException

from push_blaster.domain.access.audit import AuditResult, RecordedChange
from push_blaster.domain.executions.execution import read_execution_id
from push_blaster.web.access.audit_words import find_words
from push_blaster.web.frame.template_filters import MODES, spell_out

#: The label of a field, by its document and its path there.
Label = Callable[[str, str], str]
#: Fields that the system itself writes.
_OWN: Final = frozenset({"version", "updatedAt", "createdAt", "activatedAt", "isActive", "id"})
#: Where a person says why.
_REASONS: Final = ("reason", "note", "resolution")


class Thing(StrEnum):
    """A kind of thing with names, as the documents of its folder are called in `changed`."""

    AUTOMATION = "automations"
    TEMPLATE = "templates"


#: The names of all automations and templates, by id.
Names = Mapping[Thing, Mapping[str, str]]


class ChangedField(NamedTuple):
    """A field that was changed, as a form names it."""

    label: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class DescribedChange:
    """A row of the audit log in words."""

    row: RecordedChange
    who: str
    text: str
    reason: str
    fields: tuple[ChangedField, ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a row says: the fields of the request, and the fields that it changed by document."""

    values: Mapping[str, Any]
    changed: Mapping[str, Any]
    names: Names

    def text(self, *names: str) -> str:
        """Return the first of these fields that is a text."""
        found = (self.values.get(name) for name in names)
        return next((text for text in found if isinstance(text, str) and text), "")

    def name(self, thing: Thing, id_: str) -> str:
        """Return the name of a thing in quotes, also of one that is gone by now."""
        was = (self.changed.get(f"{thing}/{id_}") or {}).get("name") or {}
        known = self.names[thing].get(id_) or was.get("before") or was.get("after")
        return _quote(known or id_ or self.text("name"))


def describe_change(row: RecordedChange, names: Names, label: Label) -> DescribedChange:
    """Return a row in words; a row without words is described by its request."""
    what, detail = _parse(row.what), _parse(row.detail)
    parts = (what.get("query"), what.get("form"), what.get("body"), detail.get("fields"))
    given = [part for part in parts if isinstance(part, Mapping)] + [_read_path(row)]
    values = {name: value for part in given for name, value in part.items()}
    changed = detail.get("changed")
    facts = _Facts(values, changed if isinstance(changed, Mapping) else {}, names)
    return DescribedChange(
        row=row,
        who=row.actor or "Somebody unknown",
        text=_describe(row, facts),
        reason=facts.text(*_REASONS),
        fields=tuple(_list_fields(facts, label)),
    )


def _describe(row: RecordedChange, facts: _Facts) -> str:
    phrases = find_words(row.endpoint, facts.values)
    if phrases is None:
        doing, done = f"send {row.method} {row.path}", f"sent {row.method} {row.path}"
    else:
        doing, done = (_fill_in(text, facts) for text in phrases)
    return done if row.result is AuditResult.DONE else f"tried to {doing}"


def _fill_in(text: str, facts: _Facts) -> str:
    things = {name: find(facts) for name, find in _THINGS.items() if f"{{{name}}}" in text}
    return text.format_map(things)


def _quote(name: str) -> str:
    return f"'{name}'" if name else "(without a name)"


def _name_automation(facts: _Facts) -> str:
    return facts.name(Thing.AUTOMATION, facts.text("automation_id", "automationId", "id"))


def _name_template(facts: _Facts) -> str:
    return facts.name(Thing.TEMPLATE, facts.text("template_id", "templateId", "id"))


def _name_execution(facts: _Facts) -> str:
    id_ = facts.text("execution_id", "executionId")
    automation_id, slot = read_execution_id(id_)
    if slot is None:
        return f"the execution {id_}"
    name = facts.name(Thing.AUTOMATION, automation_id)
    return f"the execution of {name} planned for {slot.isoformat()}"


def _name_mode(facts: _Facts) -> str:
    is_dry = any(facts.values.get(name) in (True, "true") for name in ("dryRun", "isDryRun"))
    mode = "real-dry-run" if is_dry else facts.text("mode")
    return f" ({MODES.get(mode, mode)})" if mode and mode != "live" else ""


_THINGS: Final[Mapping[str, Callable[[_Facts], str]]] = {
    "automation": _name_automation,
    "execution": _name_execution,
    "mode": _name_mode,
    "named": lambda facts: f" {_quote(facts.text('name'))}" if facts.text("name") else "",
    "push": lambda facts: _quote(facts.text("title", "push_id", "jobId")),
    "script": lambda facts: _quote(facts.text("script_id", "scriptId")),
    "template": _name_template,
    "token": lambda facts: _quote(facts.text("name")),
}


def _list_fields(facts: _Facts, label: Label) -> Iterator[ChangedField]:
    """Yield the changed fields, without those that the system writes, and without the empty."""
    for document, fields in facts.changed.items():
        for path, both in fields.items() if isinstance(fields, Mapping) else ():
            if path.rpartition(".")[2] in _OWN or not isinstance(both, Mapping):
                continue
            found = label(document, path)
            shown = spell_out(path) if found == path and "." not in path else found
            yield ChangedField(shown, both.get("before"), both.get("after"))


def _read_path(row: RecordedChange) -> Mapping[str, Any]:
    """Return the values in the path of a request."""
    try:
        urls = current_app.url_map.bind("")
        found: tuple[str, Mapping[str, Any]] = urls.match(row.path, method=row.method)
    except HTTPException:
        return {}
    return found[1]


def _parse(text: str | None) -> Mapping[str, Any]:
    """Return a recorded content; a content that was shortened or blanked has no fields."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
