"""Schemas: camelCase outside, snake_case inside, and strict."""

import pytest
from marshmallow import INCLUDE, ValidationError, fields

from chassis.names import camel_case
from chassis.schemas import AnswerSchema, CamelSchema, DocumentSchema


class Inner(CamelSchema):
    sent_at_ms = fields.Integer(required=True)


class Outer(CamelSchema):
    push_title = fields.String(required=True)
    start = fields.String(data_key="from")
    inner_parts = fields.List(fields.Nested(Inner))


class Keeping(CamelSchema):
    class Meta:
        unknown = INCLUDE

    push_title = fields.String()


class Answer(AnswerSchema):
    push_title = fields.String()


class Part(DocumentSchema):
    push_title = fields.String()
    inner_parts = fields.List(fields.Nested(Inner))


GOOD = {"pushTitle": "T", "from": "now", "innerParts": [{"sentAtMs": 1}]}


def test_names_are_camel_case_outside_and_snake_case_inside() -> None:
    loaded = Outer().load(GOOD)

    assert loaded == {"push_title": "T", "start": "now", "inner_parts": [{"sent_at_ms": 1}]}
    assert Outer().dump(loaded) == GOOD
    assert [camel_case(name) for name in ("id", "push_title", "a_b_c")] == [
        "id",
        "pushTitle",
        "aBC",
    ]


def test_the_name_inside_is_unknown_outside() -> None:
    with pytest.raises(ValidationError) as refused:
        Outer().load({**GOOD, "push_title": "T"})

    assert refused.value.messages == {"push_title": ["Unknown field."]}


def test_faults_are_told_under_the_names_outside() -> None:
    with pytest.raises(ValidationError) as refused:
        Outer().load({"innerParts": [{"sentAtMs": "x", "more": 1}]})

    assert refused.value.messages == {
        "pushTitle": ["Missing data for required field."],
        "innerParts": {0: {"sentAtMs": ["Not a valid integer."], "more": ["Unknown field."]}},
    }


def test_a_part_may_be_loaded_where_that_is_asked_for() -> None:
    assert Outer(partial=True, only=("push_title", "start")).load({"from": "x"}) == {"start": "x"}


def test_what_is_unknown_is_kept_or_ignored_where_the_schema_says_so() -> None:
    assert Keeping().load({"pushTitle": "T", "other": 1}) == {"push_title": "T", "other": 1}
    assert Answer().load({"pushTitle": "T", "other": 1}) == {"push_title": "T"}


def test_a_document_keeps_its_own_names_on_both_sides() -> None:
    document = {"pushTitle": "T"}

    assert Part().load(document) == Part().dump(document) == document
    with pytest.raises(ValidationError):
        Part().load({"push_title": "T"})
