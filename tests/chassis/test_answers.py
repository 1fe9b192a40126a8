"""Schemas of answers that are read from dataclasses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import pytest

from chassis.answers import answer_schema, page_schema
from tests.people import ALICE


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Part:
    """A part."""

    is_new: bool


@dataclass(frozen=True)
class Whole:
    """What is answered."""

    user_id: object
    seen_at: datetime | None
    colour: Colour
    parts: tuple[Part, ...]
    counts_by_rule: Mapping[str, int]
    window: float = field(metadata={"data_key": "windowMinutes", "description": "in minutes"})


NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_dataclass_is_answered_under_the_names_of_json() -> None:
    whole = Whole(str(ALICE), NOON, Colour.RED, (Part(True),), {"a": 1}, 2.5)

    assert answer_schema(Whole)().dump(whole) == {
        "userId": str(ALICE),
        "seenAt": "2026-11-30T12:00:00+00:00",
        "colour": "red",
        "parts": [{"isNew": True}],
        "countsByRule": {"a": 1},
        "windowMinutes": 2.5,
    }


def test_a_dataclass_has_one_schema_under_one_name() -> None:
    assert answer_schema(Whole) is answer_schema(Whole)
    assert answer_schema(Whole, "Other").__name__ == "OtherSchema"


def test_what_may_be_missing_is_null_and_openapi_knows() -> None:
    schema = answer_schema(Whole)()

    assert schema.fields["seen_at"].allow_none
    assert not schema.fields["colour"].allow_none
    assert schema.fields["window"].metadata == {"description": "in minutes"}


def test_a_page_has_its_items_and_leads_on() -> None:
    page = page_schema(answer_schema(Part), "parts", "PartList")()

    assert page.dump({"parts": [Part(False)], "next_cursor": "x"}) == {
        "parts": [{"isNew": False}],
        "nextCursor": "x",
    }


def test_a_type_without_a_place_in_json_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        call: Callable[[], None]

    with pytest.raises(TypeError, match="no place"):
        answer_schema(Odd)
