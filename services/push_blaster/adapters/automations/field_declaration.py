"""One declaration per field of an automation, read by schema, typed automation and form.

A field is declared once, in its schema. `declare` adds to the marshmallow field the attribute of
the typed automation that it gives, and how the form on the page shows it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Literal, TypeVar

from marshmallow import INCLUDE, Schema, fields, validate

from chassis.schemas import DocumentSchema

#: Returns the typed automation's value of a document's value.
Read = Callable[[Any], object]
AnyField = TypeVar("AnyField", bound=fields.Field[Any])
_KEY: Final = "declaration"


#: A part of the form. A template places each field of the section "own place" by itself.
Section = Literal[
    "name",
    "schedule",
    "users",
    "before live",
    "lead",
    "safeguards",
    "user time",
    "experiment",
    "goal",
    "delivery",
    "push texts",
    "push more",
    "push",
    "variant",
    "variant texts",
    "winner",
    "own place",
]
#: How the form shows a value.
Widget = Literal[
    "text",
    "area",
    "number",
    "percent",
    "time",
    "date",
    "choice",
    "tick",
    "lines",
    "days",
    "devices",
    "zone",
    "actions",
    "pairs",
    "json",
]


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the form.

    Shape: without `widget`, the type of the field decides. `usual` is the placeholder of an empty
    field. `choices` are the values with their labels; the first one is the default. With `only`
    the field is shown for that frequency only, with `but` for every other one. With `if_given` it
    is shown only where the document has a value.
    """

    label: str
    section: Section
    hint: str = ""
    _: KW_ONLY
    widget: Widget | None = None
    usual: object = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    rows: int = 3
    only: str = ""
    but: str = ""
    if_given: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a field is beside its schema.

    Shape: `gives` is the attribute of the typed automation: None if it has the name of the field,
    empty if only the document has the field. `read` turns the document's value into the attribute.
    """

    form: FormField | None
    gives: str | None
    read: Read


class KeptSchema(DocumentSchema):
    """A part of the document; unknown fields are kept."""

    class Meta:
        unknown = INCLUDE


def optional(kind: type[fields.Field[Any]], **options: Any) -> fields.Field[Any]:
    """Return a field that may be null."""
    return kind(allow_none=True, **options)


def declare(
    schema_field: AnyField,
    form: FormField | None = None,
    *,
    gives: str | None = None,
    read: Read = lambda value: value,
) -> AnyField:
    """Return the field, with the attribute that it gives and how the form shows it."""
    declaration = Declaration(form, gives, read)
    schema_field.metadata = {**schema_field.metadata, _KEY: declaration}
    return schema_field


def one_of(kind: type[StrEnum], form: FormField) -> fields.Field[Any]:
    """Return a field that may be null, or one of the texts of an enum."""
    rule = validate.OneOf([member.value for member in kind])
    return declare(optional(fields.String, validate=rule), form, read=kind)


def minutes(gives: str, form: FormField, rule: validate.Range, **options: Any) -> fields.Field[Any]:
    """Return a field that may be null, or a length of time in minutes; it gives a timedelta."""
    number = optional(fields.Float, validate=rule, **options)
    return declare(number, form, gives=gives, read=lambda value: timedelta(minutes=value))


def tick(form: FormField, **options: Any) -> fields.Field[Any]:
    """Return a field that may be null, true or false."""
    return declare(optional(fields.Boolean, **options), form)


def texts(form: FormField, **options: Any) -> fields.Field[Any]:
    """Return a field that may be null, or a list of texts."""
    listed = optional(fields.List, cls_or_instance=fields.String(), **options)
    return declare(listed, form, read=tuple)


def read_values(schema: Schema, part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes that a part of a complete document gives to the typed automation.

    A field that is null leaves the default of the typed automation. A nested part without a
    declaration gives its attributes to the same object. If two fields give the same attribute, the
    smaller value counts.
    """
    found: dict[str, Any] = {}
    for name, value in _find_values(schema, part):
        found[name] = min(value, found[name]) if name in found else value
    return found


def _find_values(schema: Schema, part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for one in schema.fields.values():
        value = part.get(one.data_key or "")
        declaration = _find_declaration(one)
        if value is None:
            continue
        if declaration is None and isinstance(one, fields.Nested):
            yield from _find_values(_schema_of(one), value)
        elif declaration and declaration.gives != "":
            yield declaration.gives or str(one.name), declaration.read(value)


def find_form_fields(
    schema: Schema, at: str = ""
) -> Iterator[tuple[str, fields.Field[Any], FormField]]:
    """Yield every field of the form with its path in the document: `pushSequence.#.title`."""
    for one in schema.fields.values():
        path = f"{at}{one.data_key}"
        declaration = _find_declaration(one)
        if declaration and declaration.form:
            yield path, one, declaration.form
        inner = one.inner if isinstance(one, fields.List) else one
        if isinstance(inner, fields.Nested):
            place = path if inner is one else f"{path}.#"
            yield from find_form_fields(_schema_of(inner), f"{place}.")


def _find_declaration(field: fields.Field[Any]) -> Declaration | None:
    found: Declaration | None = field.metadata.get(_KEY)
    return found


def _schema_of(field: fields.Nested) -> Schema:
    schema: Schema = field.schema
    return schema
