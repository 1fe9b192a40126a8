"""Read the form of an automation as its document; and the buttons that rearrange its pushes."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from copy import deepcopy
from typing import Any, Final

from push_blaster.domain.audiences.script import Parameter, ParameterType
from push_blaster.web.automations.automation_fields import ENTRIES, PARAMETERS, PUSH, VARIANT
from push_blaster.web.automations.form_fields import Form, read_number
from push_blaster.web.frame.document_paths import find, put

#: The document of a new automation.
BLANK: Final[Mapping[str, Any]] = {
    "name": "",
    "type": "script_based",
    "schedule": {"frequency": "daily", "timezone": "UTC", "executionTime": "12:00"},
    "pushSequence": [{"title": "", "body": "", "layerId": 3, "timing": {}}],
    "audienceCriteria": {},
    "settings": {"dryRunFirst": True, "safeguards": {"requireTestFirst": True}},
}
_NEW_PUSH: Final = {"title": "", "body": "", "layerId": 3, "timing": {"delayAfterPrevious": 5}}
#: Parts of the settings that are left out if these fields of theirs are empty.
_ALL_OR_NOTHING: Final = {"quietHours": ("start", "end"), "goal": ("name", "withinHours")}
#: A push without values of these fields is no experiment.
_OF_A_TEST: Final = ("testPercent", "decideAfterMinutes", "minimumLead")
#: The pushes of a document that is being edited.
Pushes = list[MutableMapping[str, Any]]
#: Returns the parameters that a script declares.
Declared = Callable[[str], Sequence[Parameter]]


def read_form(form: Form, old: Mapping[str, Any], declared: Declared) -> MutableMapping[str, Any]:
    """Return `old` with the fields of the form; fields that the form does not show stay."""
    document: MutableMapping[str, Any] = deepcopy(dict(old))
    _lay(document, "", form)
    _choose_script(document, form, old, declared)
    for part, names in _ALL_OR_NOTHING.items():
        if not any(find(document, f"settings.{part}.{name}") for name in names):
            (document.get("settings") or {}).pop(part, None)
    document["pushSequence"] = [
        _read_push(form, f"pushSequence.{place}", _known(old.get("pushSequence")), number)
        for number, place in enumerate(form.getlist("order"), start=1)
    ]
    return document


def rearrange(document: Mapping[str, Any], change: str) -> str:
    """Carry out a button of the form, such as `up:2`; return the field to focus."""
    name, *places = change.split(":")
    return _CHANGES[name](document["pushSequence"], *map(int, places))


def text_of(value: object) -> str:
    """Return a parameter as the form shows it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def find_other_parameters(document: Mapping[str, Any], declared: Sequence[Parameter]) -> list[str]:
    """Return the parameters that the script does not declare, as lines of the form."""
    given: Mapping[str, object] = find(document, PARAMETERS, {})
    names = {parameter.name for parameter in declared}
    return [f"{name} = {text_of(v)}" for name, v in given.items() if name not in names]


def _lay(document: MutableMapping[str, Any], part: str, form: Form, at: str = "") -> None:
    """Put the form's fields of a part into `document`, which is that part.

    Shape: `part` and `at` are its place in the automation, without and with the places in lists.
    """
    for shape, entry in ENTRIES.items():
        path = shape.removeprefix(part)
        if shape.startswith(part) and "#" not in path:
            old = find(document, path)
            value = entry.lay_over(old, entry.read(form, at + path))
            if value is not old:
                put(document, path, value)


def _choose_script(
    document: Mapping[str, Any], form: Form, old: Mapping[str, Any], declared: Declared
) -> None:
    """Set the script and its parameters; a new script gets only parameters that it declares."""
    criteria = document.get("audienceCriteria") or {}
    script = criteria.get("customScript") or {}
    if not script.get("scriptId"):
        criteria.pop("customScript", None)
        return
    before = find(old, "audienceCriteria.customScript", {})
    parameters = _read_parameters(
        form, before.get("parameters") or {}, declared(script["scriptId"])
    )
    if script["scriptId"] != before.get("scriptId"):
        script.pop("scriptName", None)
    if parameters or script.get("parameters"):
        script["parameters"] = parameters


def _read_parameters(
    form: Form, before: Mapping[str, object], declared: Sequence[Parameter]
) -> dict[str, object]:
    types = {parameter.name: parameter.type for parameter in declared}
    written = (line.partition("=") for line in form.get(PARAMETERS, "").splitlines())
    given = {name.strip(): text.strip() for name, _, text in written}
    prefix = f"{PARAMETERS}."
    given |= {n.removeprefix(prefix): t.strip() for n, t in form.items() if n.startswith(prefix)}
    is_another = form.get("parametersOf") != form.get("audienceCriteria.customScript.scriptId")
    return {
        name: before[name]
        if name in before and text_of(before[name]) == text
        else _typed(types.get(name), text)
        for name, text in given.items()
        if text and not (is_another and types and name not in types)
    }


def _typed(kind: ParameterType | None, text: str) -> object:
    """Return a text as its type; a text that does not fit is refused later, by name."""
    if kind in {ParameterType.INTEGER, ParameterType.NUMBER}:
        return read_number(text)
    if kind is ParameterType.BOOLEAN:
        return {"true": True, "false": False}.get(text, text)
    return text


def _read_push(
    form: Form, prefix: str, known: Mapping[str, Mapping[str, Any]], number: int
) -> dict[str, object]:
    known_push = known.get(form.get(f"{prefix}.id", ""), {})
    push = deepcopy({"title": "", "body": "", **known_push})
    _lay(push, PUSH, form, f"{prefix}.")
    variants = [
        _read_variant(form, f"{prefix}.variants.{place}.", _known(push.get("variants")))
        for place in form.getlist(f"{prefix}.variants")
    ]
    put(push, "variants", variants)
    if not any((push.get("experiment") or {}).get(name) for name in _OF_A_TEST):
        push.pop("experiment", None)
    return {**push, "sequenceOrder": number}


def _read_variant(
    form: Form, prefix: str, known: Mapping[str, Mapping[str, Any]]
) -> dict[str, object]:
    variant: MutableMapping[str, Any] = deepcopy(dict(known.get(form.get(f"{prefix}was", ""), {})))
    _lay(variant, VARIANT, form, prefix)
    return {"id": "", **variant}


def _known(items: Sequence[Mapping[str, Any]] | None) -> dict[str, Mapping[str, Any]]:
    return {item["id"]: item for item in items or () if item.get("id")}


def _add(pushes: Pushes) -> str:
    pushes.append(deepcopy(_NEW_PUSH))
    return f"pushSequence.{len(pushes) - 1}.title"


def _remove(pushes: Pushes, place: int) -> str:
    del pushes[place]
    return f"pushSequence.{max(0, place - 1)}.title"


def _move(pushes: Pushes, place: int, by: int) -> str:
    """Move a push; return its button, or the opposite button if the push is now at an end."""
    to = place + by
    pushes.insert(to, pushes.pop(place))
    goes_on = to > 0 if by < 0 else to < len(pushes) - 1
    return f"{'up' if (by < 0) is goes_on else 'down'}.{to}"


def _add_variant(pushes: Pushes, place: int) -> str:
    """Add a variant; the first time add two, because one variant has nothing to compare with."""
    variants = pushes[place].get("variants") or []
    names = [name for name in "ABCDEFGHIJKLMNOPQRST" if name not in _known(variants)]
    added = names[: 1 if variants else 2]
    pushes[place]["variants"] = [*variants, *({"id": name, "weight": 1} for name in added)]
    return f"pushSequence.{place}.variants.{len(variants) + len(added) - 1}.title"


def _remove_variant(pushes: Pushes, place: int, variant: int) -> str:
    del pushes[place]["variants"][variant]
    return f"add-variant.{place}"


_CHANGES: Final[Mapping[str, Callable[..., str]]] = {
    "add": _add,
    "remove": _remove,
    "up": lambda pushes, place: _move(pushes, place, -1),
    "down": lambda pushes, place: _move(pushes, place, 1),
    "add-variant": _add_variant,
    "remove-variant": _remove_variant,
    "script": lambda _: "audienceCriteria.customScript.scriptId",
    "audience": lambda _, place: f"pushSequence.{place}.audienceName",
}
