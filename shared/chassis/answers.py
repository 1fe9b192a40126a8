"""Schemas of answers, read from the types that routes return: one declaration for both."""

from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from marshmallow import Schema, fields

from chassis.schemas import CamelSchema

_PLAIN: Final[Mapping[type, type[fields.Field[Any]]]] = {
    str: fields.String,
    bool: fields.Boolean,
    int: fields.Integer,
    float: fields.Float,
    UUID: fields.UUID,
    datetime: fields.AwareDateTime,
    date: fields.Date,
    object: fields.Raw,
}
_LISTS: Final = frozenset({list, tuple, Sequence, frozenset, set})
_MAPPINGS: Final = frozenset({dict, Mapping})


@cache
def answer_schema(answer: type, name: str = "", without: tuple[str, ...] = ()) -> type[Schema]:
    """Return the schema of a dataclass or NamedTuple: its fields by their types, its docstring.

    Shape: `name` is the schema's name in OpenAPI, without `Schema`; else the type's own. Fields
    named in `without` are not answered. The metadata of a dataclass's field may have a
    `description`, and a `data_key` where camelCase is not its name.
    Raises: TypeError for a type that has no place in JSON.
    """
    metadata = {one.name: one.metadata for one in fields_of(answer)} if is_dataclass(answer) else {}
    declared = {
        field: _field(hint, dict(metadata.get(field, {})))
        for field, hint in get_type_hints(answer).items()
        if field not in without
    }
    schema = CamelSchema.from_dict(declared, name=f"{name or answer.__name__}Schema")
    schema.__doc__ = answer.__doc__
    return schema


def page_schema(item: type[Schema], items: str, name: str) -> type[Schema]:
    """Return the schema of one page of a list: the items under `items`, and the next cursor."""
    schema = CamelSchema.from_dict(
        {
            items: fields.List(fields.Nested(item)),
            "next_cursor": fields.String(allow_none=True),
        },
        name=f"{name}Schema",
    )
    schema.__doc__ = "One page of a list; `nextCursor` leads to the next one, if there is one."
    return schema


def _field(hint: Any, metadata: dict[str, Any]) -> fields.Field[Any]:
    options: dict[str, Any] = {}
    if "data_key" in metadata:
        options["data_key"] = metadata.pop("data_key")
    if metadata:
        options["metadata"] = metadata
    if get_origin(hint) in {Union, UnionType}:
        options["allow_none"] = NoneType in get_args(hint)
        (hint,) = [one for one in get_args(hint) if one is not NoneType]
    return _field_of(hint, options)


def _field_of(hint: Any, options: dict[str, Any]) -> fields.Field[Any]:
    if get_origin(hint) is not None:
        return _container(hint, options)
    if isinstance(hint, type) and (is_dataclass(hint) or hasattr(hint, "_fields")):
        return fields.Nested(answer_schema(hint), **options)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return fields.Enum(hint, by_value=True, **options)
    if hint not in _PLAIN:
        raise TypeError(f"{hint!r} has no place in an answer in JSON.")
    return _PLAIN[hint](**options)


def _container(hint: Any, options: dict[str, Any]) -> fields.Field[Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in _LISTS:
        return fields.List(_field(inner[0], {}), **options)
    if origin in _MAPPINGS:
        return fields.Dict(keys=_field(inner[0], {}), values=_field(inner[1], {}), **options)
    raise TypeError(f"{hint!r} has no place in an answer in JSON.")
