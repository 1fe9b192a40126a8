"""Schemas that are read from types: a route's request and its answer are declared once.

A request is a frozen dataclass: the route gets an instance of it. An answer is a dataclass or a
NamedTuple. Where a field needs more than its type, `about()` stands in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, is_dataclass
from dataclasses import field as dataclass_field
from dataclasses import fields as fields_of
from datetime import date, datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from marshmallow import Schema, fields, post_load

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


def about(
    default: Any = MISSING,
    *,
    like: Callable[..., fields.Field[Any]] | None = None,
    **metadata: Any,
) -> Any:
    """Return a field of a dataclass with what its type does not say.

    Shape: `default` makes it optional. `like` makes the marshmallow field where the type does not
    say enough, such as a field of our own. `validate`, `data_key` and `description` mean what they
    mean in marshmallow.
    """
    return dataclass_field(default=default, metadata=metadata | ({"like": like} if like else {}))


@cache
def request_schema(request: type, name: str = "") -> type[Schema]:
    """Return the schema that loads a dataclass; a field with a default may be missing.

    Shape: `name` is as of `answer_schema`; a field whose type has None may be null, too.
    """
    hints = get_type_hints(request)
    declared: dict[str, Any] = {
        one.name: _field(hints[one.name], dict(one.metadata), _options_of_default(one))
        for one in fields_of(request)
    }
    tuples = [field for field, hint in hints.items() if get_origin(hint) is tuple]

    def build(_: Schema, data: Mapping[str, Any], **__: object) -> Any:
        return request(**_with_tuples(data, tuples))

    base: type[CamelSchema] = type("RequestSchema", (CamelSchema,), {"build": post_load(build)})
    schema = base.from_dict(declared, name=f"{name or request.__name__}Schema")
    schema.__doc__ = request.__doc__
    return schema


def _with_tuples(data: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return loaded values with tuples where marshmallow made lists."""
    return {**data, **{name: tuple(data[name]) for name in names if name in data}}


def _options_of_default(one: Field[Any]) -> dict[str, Any]:
    if one.default is not MISSING:
        return {"load_default": one.default}
    if one.default_factory is not MISSING:
        return {"load_default": one.default_factory}
    return {"required": True}


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


def _field(
    hint: Any, metadata: dict[str, Any], options: dict[str, Any] | None = None
) -> fields.Field[Any]:
    like = metadata.pop("like", None)
    options = {**(options or {})}
    options |= {name: metadata.pop(name) for name in ("data_key", "validate") if name in metadata}
    if metadata:
        options["metadata"] = metadata
    if get_origin(hint) in {Union, UnionType}:
        options["allow_none"] = NoneType in get_args(hint)
        (hint,) = [one for one in get_args(hint) if one is not NoneType]
    return like(**options) if like else _field_of(hint, options)


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
