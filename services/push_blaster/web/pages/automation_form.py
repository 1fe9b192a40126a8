"""The form of an automation: its fields are the paths of the document, in both directions."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from push_blaster.web.pages.form_fields import read_number

Form = MultiDict[str, str]


def _text(form: Form, name: str) -> object:
    return form.get(name, "").strip()


def _optional(form: Form, name: str) -> object:
    return form.get(name, "").strip() or None


def _number(form: Form, name: str) -> object:
    given = form.get(name, "").strip()
    return read_number(given) if given else None


def _share(form: Form, name: str) -> object:
    """Return a percentage as a share of 1."""
    number = _number(form, name)
    return number / 100 if isinstance(number, int | float) else number


def _flag(form: Form, name: str) -> object:
    return name in form


def _days(form: Form, name: str) -> object:
    return [int(day) for day in form.getlist(name) if day.isdigit()] or None


def _lines(form: Form, name: str) -> object:
    return [line.strip() for line in form.get(name, "").splitlines() if line.strip()]


def _pairs(form: Form, name: str) -> object:
    """Return `name = value` lines as an object."""
    pairs = (line.partition("=") for line in form.get(name, "").splitlines() if line.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}


Read = Callable[[Form, str], object]

#: Every field of the form, by its path in the document.
FIELDS: Final[Mapping[str, Read]] = {
    "name": _text,
    "description": _text,
    "schedule.frequency": _text,
    "schedule.executionTime": _optional,
    "schedule.timezone": _text,
    "schedule.startDate": _optional,
    "schedule.endDate": _optional,
    "schedule.daysOfWeek": _days,
    "schedule.dayOfMonth": _number,
    "schedule.cronExpression": _optional,
    "schedule.leadTimeMinutes": _number,
    "schedule.missedRunPolicy": _optional,
    "schedule.graceMinutes": _number,
    "audienceCriteria.customScript.scriptId": _text,
    "audienceCriteria.customScript.parameters": _pairs,
    "settings.testUserIds": _lines,
    "settings.cancellationWindowMinutes": _number,
    "settings.dryRunFirst": _flag,
    "settings.requireApproval": _flag,
    "settings.failPolicy": _optional,
    "settings.inDoubt": _optional,
    "settings.safeguards.requireTestFirst": _flag,
    "settings.safeguards.maxAudienceSize": _number,
    "settings.safeguards.emergencyContacts": _lines,
    "settings.safeguards.alertThresholds.audienceSize": _number,
    "settings.safeguards.alertThresholds.failureRate": _share,
}

PUSH_FIELDS: Final[Mapping[str, Read]] = {
    "title": _text,
    "body": _text,
    "deepLink": _text,
    "layerId": _number,
    "audienceName": _optional,
    "timing.delayAfterPrevious": _number,
    "timing.absoluteTime": _optional,
}

#: Where a new automation starts from.
BLANK: Final[Mapping[str, Any]] = {
    "name": "",
    "type": "script_based",
    "schedule": {"frequency": "daily", "timezone": "UTC", "executionTime": "12:00"},
    "pushSequence": [{"title": "", "body": "", "layerId": 3, "timing": {}}],
    "audienceCriteria": {},
    "settings": {"dryRunFirst": True, "safeguards": {"requireTestFirst": True}},
}


def read_form(form: Form, old: Mapping[str, Any]) -> dict[str, Any]:
    """Return `old` with the form's fields laid over it; what the form does not show stays."""
    document = deepcopy(dict(old))
    for path, read in FIELDS.items():
        _put(document, path, read(form, path))
    if not find(document, "audienceCriteria.customScript.scriptId"):
        (document.get("audienceCriteria") or {}).pop("customScript", None)
    known = {push.get("id"): push for push in old.get("pushSequence", []) if push.get("id")}
    document["pushSequence"] = [
        _read_push(form, f"pushSequence.{index}", known, number)
        for number, index in enumerate(form.getlist("order"), start=1)
    ]
    return document


def find(document: object, path: str, default: object = None) -> Any:
    """Return what stands at a path such as `pushSequence.0.title`; `default` for nothing."""
    for part in path.split("."):
        if isinstance(document, list):
            document = document[int(part)] if int(part) < len(document) else None
        else:
            document = document.get(part) if isinstance(document, Mapping) else None
    return default if document is None else document


def find_differences(
    mine: object, theirs: object, path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield the paths at which two documents differ, with both values."""
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for name in dict.fromkeys([*mine, *theirs]):
            below = f"{path}.{name}" if path else str(name)
            yield from find_differences(mine.get(name), theirs.get(name), below)
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for number, pair in enumerate(zip(mine, theirs, strict=True)):
            yield from find_differences(*pair, f"{path}.{number}")
    elif mine != theirs and (mine or theirs):
        yield path, mine, theirs


def _read_push(
    form: Form, prefix: str, known: Mapping[str, Mapping[str, Any]], number: int
) -> dict[str, Any]:
    push = deepcopy(dict(known.get(form.get(f"{prefix}.id", ""), {})))
    for path, read in PUSH_FIELDS.items():
        _put(push, path, read(form, f"{prefix}.{path}"))
    return {**push, "sequenceOrder": number}


def _put(document: dict[str, Any], path: str, value: object) -> None:
    """Lay a value into the document; a field left empty is added to none that lacks it."""
    if value in (None, "", [], {}, False) and find(document, path) is None:
        return
    *parents, last = path.split(".")
    for parent in parents:
        if not isinstance(document.get(parent), dict):
            document[parent] = {}
        document = document[parent]
    document[last] = value
