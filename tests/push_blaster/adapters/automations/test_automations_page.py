"""The tables of docs/automations.md, field by field, against the one schema of an automation."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from marshmallow import Schema, ValidationError, fields, validate

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.adapters.automations.automation_files import StoredAutomation
from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.domain.schedule.finding import FindingKind
from push_blaster.use_cases.automations.list_automations import AutomationLists
from tests.documents import ROOT, read_tables

PAGE: Final = "docs/automations.md"
TEXT: Final = (ROOT / PAGE).read_text()
ROWS: Final = {
    row["field"].strip("`"): row
    for row in read_tables(PAGE, "field", "type", "default", "what it means")
}
NAMES: Final = {
    fields.String: "text",
    fields.Integer: "whole number",
    fields.Float: "number",
    fields.Boolean: "true or false",
    fields.Dict: "object",
}


def find_fields(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield path, field and type of everything that an automation may say."""
    for field in schema.fields.values():
        path = f"{prefix}{field.data_key}"
        inner = field.inner if isinstance(field, fields.List) else field
        if not isinstance(inner, fields.Nested):
            described = describe(inner)
            yield path, field, f"list of {described}" if inner is not field else described
        elif inner is field:
            yield path, field, "object"
            yield from find_fields(inner.schema, f"{path}.")
        else:
            yield path, field, "list of objects"
            yield from find_fields(inner.schema, f"{path}[].")


def describe(field: fields.Field[Any]) -> str:
    """Return the type in the page's words: what it is, out of which, from where to where."""
    words = NAMES[type(field)]
    for rule in field.validators:
        if isinstance(rule, validate.OneOf):
            return "one of " + ", ".join(f"`{choice}`" for choice in rule.choices)
        if isinstance(rule, validate.Range):
            words += describe_range(rule)
    return words


def describe_range(rule: Any) -> str:
    least = f" {rule.min}" if rule.min_inclusive else f" above {rule.min}"
    if rule.max is None:
        return f" from{least} on" if rule.min_inclusive else least
    return f"{least} to {rule.max}" if rule.min_inclusive else f"{least}, to {rule.max}"


FIELDS: Final = {path: (field, kind) for path, field, kind in find_fields(AutomationSchema())}

#: An automation with one of everything, so that any field can be laid into it.
FULL: Final[dict[str, Any]] = {
    "id": "full",
    "name": "Full",
    "type": "sequence",
    "schedule": {"frequency": "daily", "executionTime": "12:30"},
    "pushSequence": [
        {
            "title": "T",
            "body": "B",
            "timing": {},
            "variants": [{"id": "a"}, {"id": "b"}],
            "experiment": {"testPercent": 20},
            "actions": [{"id": "see", "title": "See"}],
        }
    ],
    "audienceCriteria": {
        "customScript": {"scriptId": "s"},
        "uploadedFile": {"name": "f.csv", "sha256": "0" * 64},
    },
    "settings": {
        "safeguards": {"alertThresholds": {}, "drift": {}},
        "quietHours": {"start": "22:00", "end": "07:00"},
        "goal": {"name": "purchase"},
    },
}


def changed(path: str, change: Callable[[dict[str, Any], str], object]) -> dict[str, Any]:
    """Return the full automation, with one source of its audience, changed at `path`."""
    document: dict[str, Any] = json.loads(json.dumps(FULL))
    unused = "customScript" if "uploadedFile" in path else "uploadedFile"
    del document["audienceCriteria"][unused]
    *folders, name = path.replace("[]", ".0").split(".")
    place: Any = document
    for folder in folders:
        place = place[int(folder)] if folder.isdigit() else place[folder]
    change(place, name)
    return document


def test_the_page_names_every_field_and_no_other() -> None:
    assert list(FIELDS.keys() - ROWS.keys()) == [], "docs/automations.md has no line for these"
    assert list(ROWS.keys() - FIELDS.keys()) == [], "docs/automations.md names what is not there"


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_a_field_has_the_type_that_the_page_says(path: str) -> None:
    field, kind = FIELDS[path]

    assert ROWS[path]["type"] == kind
    assert ROWS[path]["default"] == "required" or not field.required


@pytest.mark.parametrize(
    "path", [p for p, row in sorted(ROWS.items()) if row["default"] == "required"]
)
def test_without_what_the_page_calls_required_an_automation_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        complete_document(changed(path, lambda place, name: place.pop(name)))


@pytest.mark.parametrize(
    "path", [p for p, row in sorted(ROWS.items()) if row["default"] not in {"required", "—"}]
)
def test_to_write_down_a_default_changes_nothing(path: str) -> None:
    default = read_default(ROWS[path]["default"])

    written = changed(path, lambda place, name: place.update({name: default}))
    without = changed(path, lambda place, name: place.pop(name, None))

    assert read_automation(complete_document(written)) == read_automation(
        complete_document(without)
    )


@pytest.mark.parametrize(
    "path", [p for p, row in sorted(ROWS.items()) if row["default"] == "—" and "[]" not in p]
)
def test_where_the_page_has_a_dash_nothing_is_filled_in(path: str) -> None:
    document: Any = complete_document(changed(path, lambda place, name: place.pop(name, None)))
    *folders, name = path.split(".")
    for folder in folders:
        document = document[folder]

    assert document.get(name) is None


def read_default(cell: str) -> object:
    text = cell.strip("`")
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_the_shortest_automation_of_the_page_is_one() -> None:
    block = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert block

    shown = read_automation(complete_document(json.loads(block[1])))

    assert shown.is_scheduled


def test_the_page_tells_what_is_computed(database: Database) -> None:
    document = complete_document(changed("name", lambda *_: None))
    stored = StoredAutomation(read_automation(document), document)
    lists = AutomationLists(database)

    shown = lists.show([stored], datetime(2026, 11, 24, tzinfo=UTC))[0]["metadata"]

    assert set(re.findall(r"`metadata\.(\w+)`", TEXT)) == set(shown)


def test_the_page_tells_every_finding_of_a_plan() -> None:
    told = {row["finding"].strip("`") for row in read_tables(PAGE, "finding", "what it says")}

    assert told == set(FindingKind)
