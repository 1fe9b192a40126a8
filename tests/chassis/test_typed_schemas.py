"""Schemas that are read from dataclasses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from uuid import UUID

import pytest
from marshmallow import ValidationError, fields, validate

from chassis.typed_schemas import about, answer_schema, page_schema, request_schema
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked."""

    user_id: UUID
    limit: int = about(50, validate=validate.Range(min=1, max=100), description="at most")
    colours: tuple[Colour, ...] = ()
    after: datetime | None = None
    window: float = about(0.0, data_key="windowMinutes")
    word: str = about("", like=partial(fields.String, validate=validate.Length(max=3)))


def test_a_request_becomes_the_dataclass() -> None:
    asked = {"userId": str(ALICE), "colours": ["red"], "windowMinutes": 2, "word": "abc"}

    question = request_schema(Question)().load(asked)

    assert question == Question(user_id=ALICE, colours=(Colour.RED,), window=2.0, word="abc")


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({}, "userId"),
        ({"userId": str(ALICE), "limit": 0}, "limit"),
        ({"userId": str(ALICE), "limit": None}, "limit"),
        ({"userId": str(ALICE), "colours": ["blue"]}, "colours"),
        ({"userId": str(ALICE), "word": "four"}, "word"),
        ({"userId": str(ALICE), "user_id": str(ALICE)}, "user_id"),
    ],
    ids=["missing", "out of range", "null", "no such value", "too long", "not its name"],
)
def test_a_wrong_request_names_the_field(asked: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError) as refused:
        request_schema(Question)().load(asked)

    assert list(refused.value.messages_dict) == [wrong]


def test_what_may_be_null_may_be_sent_as_null() -> None:
    question = request_schema(Question)().load({"userId": str(ALICE), "after": None})

    assert question.after is None
