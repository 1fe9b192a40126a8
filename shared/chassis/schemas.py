"""The bases of all schemas: `snake_case` in Python, `camelCase` in JSON, forms and queries."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, INCLUDE, RAISE, Schema, ValidationError, fields
from marshmallow.fields import Field

from chassis.instants import FIRST_YEAR, LAST_YEAR, is_near
from chassis.names import camel_case


class CamelSchema(Schema):
    """A schema whose fields need no `data_key` for their names in camelCase.

    A field that gives its own `data_key` keeps it. Unknown names are refused, and OpenAPI says so;
    a schema that keeps or ignores them says it by `unknown` in its `Meta`.
    """

    class Meta:
        unknown = RAISE

    def on_bind_field(self, field_name: str, field_obj: Field[Any]) -> None:
        """Give the field its name outside, where its declaration gives none."""
        if field_obj.data_key is None:
            field_obj.data_key = camel_case(field_name)


class DocumentSchema(CamelSchema):
    """A part of a JSON document: what it loads and dumps has the names of the document."""

    def on_bind_field(self, field_name: str, field_obj: Field[Any]) -> None:
        """Give the field the same name on both sides."""
        super().on_bind_field(field_name, field_obj)
        field_obj.attribute = field_obj.data_key


class OpenSchema(CamelSchema):
    """A schema that keeps the names that it does not know."""

    class Meta:
        unknown = INCLUDE


class AnswerSchema(CamelSchema):
    """What another service answers: a name that the schema does not know yet is ignored."""

    class Meta:
        unknown = EXCLUDE


class InstantField(fields.AwareDateTime):
    """An instant with its offset, within the years that is_near allows; it is read as UTC."""

    default_error_messages = dict.fromkeys(
        ("invalid", "invalid_awareness"),
        "Write an instant with its offset, such as 2026-11-24T12:30:00Z.",
    )

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> datetime:
        instant = super()._deserialize(value, attr, data, **options)
        if not is_near(instant):
            raise ValidationError(f"Instants lie between {FIRST_YEAR} and {LAST_YEAR}.")
        return instant.astimezone(UTC)


def check_period(
    since: datetime | None, until: datetime | None, first: str = "from", last: str = "until"
) -> None:
    """Raise ValidationError, with the name of the field, if a period ends before it begins."""
    if since and until and until < since:
        fault = f"The end is before the beginning: give a later `{last}` or an earlier `{first}`."
        raise ValidationError({last: [fault]})


class JsonNumber(fields.Float):
    """A number of JSON; a text that looks like one is refused."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> float:
        if isinstance(value, str):
            raise ValidationError("Send a number, without quotes.")
        return super()._deserialize(value, attr, data, **options)


class JsonBoolean(fields.Boolean):
    """true or false of JSON; a text or a number that looks like one is refused."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Send true or false, without quotes.")
        return value
