"""The bases of all schemas: `snake_case` in Python, `camelCase` in JSON, forms and queries."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, INCLUDE, RAISE, Schema, ValidationError, fields
from marshmallow.fields import Field

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
