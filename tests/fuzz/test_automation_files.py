"""Automations and templates as files that anybody may have written: read, or named as broken."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st
from marshmallow import ValidationError

from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.template_files import SYSTEM_TEMPLATES, TemplateFiles
from tests.builders import a_document
from tests.fuzz.values import THOROUGH, changed, json_values

RICH = a_document(
    id="odd",
    status="active",
    isActive=True,
    schedule={
        "timezone": "Europe/Berlin",
        "frequency": "weekly",
        "executionTime": "12:30",
        "startDate": "2026-11-24",
        "endDate": "2027-11-24",
        "daysOfWeek": [1, 2],
        "leadTimeMinutes": 45,
        "missedRunPolicy": "skip",
    },
    pushSequence=[
        {
            "title": "Hi [[var:first_name]]",
            "body": "Body",
            "layerId": 3,
            "deepLink": "https://example.com",
            "variants": [{"id": "a"}, {"id": "b", "title": "B"}],
            "timing": {"delayAfterPrevious": 5},
            "experiment": {"testPercent": 20, "decideAfterMinutes": 90, "metric": "converted"},
        },
        {"title": "Second", "body": "Body", "layerId": 2},
    ],
    audienceCriteria={"customScript": {"scriptId": "users", "parameters": {"hours": 48}}},
    settings={
        "testUserIds": [],
        "holdoutPercent": 5,
        "goal": {"name": "purchase", "withinHours": 24},
        "exitOn": ["purchase", "opted_out"],
        "cancellationWindowMinutes": 30,
        "quietHours": {"start": "22:00", "end": "08:00"},
        "safeguards": {"maxAudienceSize": 1000, "alertThresholds": {"audienceSize": 500}},
    },
)
A_TEMPLATE = {**next(iter(SYSTEM_TEMPLATES.values())), "id": "odd"}


def contents(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return bytes as an editor, a broken disk or somebody in a hurry leaves them."""
    texts = (json_values | changed(document)).map(json.dumps)
    encoded = st.tuples(texts, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return st.binary(max_size=200) | encoded.map(lambda pair: pair[0].encode(pair[1]))


def test_the_document_that_is_changed_is_one() -> None:
    assert complete_document(RICH)["id"] == "odd"


@THOROUGH
@given(content=contents(RICH))
@example(content=json.dumps({**RICH, "note": 2**70}).encode())
@example(content=json.dumps({**RICH, "note": "\ud800"}).encode())
@example(content=json.dumps({**RICH, "note": "a\0b"}).encode())
@example(content=json.dumps({**RICH, "note": float("nan")}).encode())
@example(content=json.dumps(RICH).replace("{", '{"a":' * 5_000 + "{", 1).encode())
def test_whatever_is_in_a_file_the_other_automations_are_there(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        files = AutomationFiles(Path(folder))
        files.create(complete_document(a_document(id="news")))
        (Path(folder) / "odd.json").write_bytes(content)

        listing, read = files.list_all(), files.read_all()

        assert "news" in read
        assert len(listing.documents) + len(listing.broken) == 2
        assert len(read) == len(listing.documents)
        assert orjson.dumps(listing.documents)
        assert all(broken.error for broken in listing.broken)
        assert (Path(folder) / "odd.json").read_bytes() == content


@THOROUGH
@given(document=changed(RICH))
def test_what_can_be_saved_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        files = AutomationFiles(Path(folder))
        try:
            complete = complete_document(document)
        except ValidationError:
            return
        files.create(complete)
        loaded = files.load(complete["id"])

        files.replace({**loaded}, loaded["version"])

        assert loaded == complete
        assert files.load(complete["id"]) == loaded
        assert unknown(document).items() <= loaded.items()


def unknown(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in RICH}


@THOROUGH
@given(content=contents(A_TEMPLATE))
def test_whatever_is_in_a_template_it_is_read_or_named_as_broken(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        files = TemplateFiles(Path(folder))
        (Path(folder) / "odd.json").write_bytes(content)

        listing = files.list_all()

        assert len(listing.documents) + len(listing.broken) == len(SYSTEM_TEMPLATES) + 1
        assert orjson.dumps(listing.documents)
        assert all(broken.error for broken in listing.broken)
