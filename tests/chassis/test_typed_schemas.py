"""Schemas that are read from dataclasses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from marshmallow import ValidationError, fields, validate

from chassis.typed_schemas import (
    about,
    answer_schema,
    object_schema,
    page_schema,
    request_schema,
    view_schema,
)
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


@dataclass(frozen=True)
class Batch:
    """A type that has more than is answered, and less."""

    secret: str
    parts: object
    sent: int

    @property
    def has_parts(self) -> bool:
        return bool(self.parts)


def test_an_answer_leaves_out_renames_and_adds() -> None:
    schema = answer_schema(
        Batch,
        without=("secret",),
        more=("has_parts",),
        sent="successCount",
        parts=(answer_schema(Part),),
        colour=Colour,
    )

    assert schema().dump(Batch("x", [Part(True)], 2)) == {
        "parts": [{"isNew": True}],
        "successCount": 2,
        "hasParts": True,
    }
    assert set(schema().fields) == {"parts", "sent", "has_parts", "colour"}


def test_an_object_is_made_of_types_schemas_and_lists_of_them() -> None:
    part = answer_schema(Part)
    schema = object_schema(
        "Box", one=part, all_parts=(part,), counts=dict[str, int], name=str | None
    )

    assert schema.__name__ == "BoxSchema"
    assert schema().dump(
        {"one": Part(True), "all_parts": [Part(False)], "counts": {"a": 1}, "name": None}
    ) == {"one": {"isNew": True}, "allParts": [{"isNew": False}], "counts": {"a": 1}, "name": None}


def view(
    path_part: str,
    *,
    user_id: UUID,
    limit: int = about(50, validate=validate.Range(min=1, max=100)),
    since: datetime | None = about(None, data_key="from"),
    is_dry: bool = False,
) -> None:
    """A view that takes a part of the path, and the rest from the query."""


def test_the_keyword_only_parameters_of_a_view_are_its_request() -> None:
    asked = view_schema(view, "View")().load({"userId": str(ALICE), "from": NOON.isoformat()})

    assert asked == {"user_id": ALICE, "limit": 50, "since": NOON, "is_dry": False}


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({}, "userId"),
        ({"userId": str(ALICE), "limit": 101}, "limit"),
        ({"userId": str(ALICE), "pathPart": "x"}, "pathPart"),
    ],
    ids=["missing", "out of range", "of the path"],
)
def test_a_wrong_parameter_of_a_view_is_named(asked: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError) as refused:
        view_schema(view, "View")().load(asked)

    assert list(refused.value.messages_dict) == [wrong]


def test_views_with_the_same_parameters_share_a_schema() -> None:
    reason = about("", validate=validate.Length(max=5))

    def stop(*, reason: str = reason) -> None: ...

    def cancel(*, reason: str = reason) -> None: ...

    assert view_schema(stop, "Stop") is view_schema(cancel, "Stop")


def test_an_object_of_anything_may_hold_null() -> None:
    schema = object_schema("Any", data=Mapping[str, object])

    assert schema().load({"data": {"a": None}}) == {"data": {"a": None}}


def test_a_type_without_a_place_in_json_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        call: Callable[[], None]

    with pytest.raises(TypeError, match="no place"):
        answer_schema(Odd)
    with pytest.raises(TypeError, match="no place"):
        object_schema("Odd", path=Path)


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
