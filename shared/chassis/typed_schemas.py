"""Schemas that are read from types: a route's request and its answer are declared once.

A request is a frozen dataclass, of which the route gets an instance, or the keyword-only parameters
of the route itself. An answer is a dataclass or a NamedTuple. Where a field or a parameter needs
more than its type, `about()` stands in the place of its default.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, is_dataclass
from dataclasses import field as dataclass_field
from dataclasses import fields as fields_of
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from marshmallow import Schema, fields, post_load

from chassis.schemas import CamelSchema, InstantField

_PLAIN: Final[Mapping[type, type[fields.Field[Any]]]] = {
    str: fields.String,
    bool: fields.Boolean,
    int: fields.Integer,
    float: fields.Float,
    UUID: fields.UUID,
    datetime: InstantField,
    date: fields.Date,
    timedelta: fields.TimeDelta,
    object: fields.Raw,
}
#: The options of marshmallow's fields that `about()` passes on; the others are for OpenAPI.
_OPTIONS: Final = ("data_key", "strict", "validate")
_LISTS: Final = frozenset({list, tuple, Sequence, frozenset, set})
_MAPPINGS: Final = frozenset({dict, Mapping})
#: The values of an object that may hold anything, null too.
_ANYTHING: Final = (Any, object)


def about(
    default: Any = MISSING,
    *,
    like: Callable[..., fields.Field[Any]] | None = None,
    **metadata: Any,
) -> Any:
    """Return a field of a dataclass with what its type does not say.

    Shape: `default` makes it optional. `like` makes the marshmallow field where the type does not
    say enough, such as a field of our own. `validate`, `strict`, `data_key` and `description` mean
    what they mean in marshmallow.
    """
    return dataclass_field(default=default, metadata=metadata | ({"like": like} if like else {}))


@cache
def request_schema(request: type, name: str = "") -> type[Schema]:
    """Return the schema that loads a dataclass; a field with a default may be missing.

    Shape: `name` is as of `answer_schema`; a field whose type has None may be null, too.
    """
    hints = get_type_hints(request)
    declared: dict[str, Any] = {
        one.name: _requested_field(hints[one.name], one) for one in fields_of(request)
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


def _requested_field(hint: Any, one: Field[Any]) -> fields.Field[Any]:
    """Return the field that loads what `one` declares; it may be missing if `one` has a default."""
    options: dict[str, Any] = {"required": True}
    for default in (one.default_factory, one.default):
        if default is not MISSING:
            options = {"load_default": default}
    return _field(hint, dict(one.metadata), options)


@cache
def answer_schema(
    answer: type,
    name: str = "",
    /,
    *,
    without: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
    **others: Any,
) -> type[Schema]:
    """Return the schema of a dataclass or NamedTuple: its fields by their types, its docstring.

    Shape: `name` is the schema's name in OpenAPI, without `Schema`; else the type's own. Fields
    named in `without` are not answered, properties named in `more` are. `others` are names in
    JSON where camelCase is not wanted, and parts, as of `object_schema`, that the type lacks, or
    describes too widely.
    Raises: TypeError for a type that has no place in JSON.
    """
    if not is_dataclass(answer) and not hasattr(answer, "_fields"):
        raise TypeError(f"{answer!r} has no place in an answer in JSON.")
    stated = (
        {one.name: dict(one.metadata) for one in fields_of(answer)} if is_dataclass(answer) else {}
    )
    hints = {one: hint for one, hint in get_type_hints(answer).items() if one not in without}
    hints |= {one: get_type_hints(getattr(answer, one).fget)["return"] for one in more}
    for one, other in others.items():
        if isinstance(other, str):
            stated[one] = {**stated.get(one, {}), "data_key": other}
        else:
            hints[one] = other
    declared = {one: _field(hint, stated.get(one, {})) for one, hint in hints.items()}
    schema = CamelSchema.from_dict(declared, name=f"{name or answer.__name__}Schema")
    schema.__doc__ = answer.__doc__
    return schema


def view_schema(view: Callable[..., object], name: str) -> type[Schema]:
    """Return the schema that loads the keyword-only parameters of a view, each by its name."""
    parameters = signature(view).parameters.values()
    return _parameters_schema(name, *(one for one in parameters if one.kind is one.KEYWORD_ONLY))


@cache
def _parameters_schema(name: str, *parameters: Parameter) -> type[Schema]:
    """Return one schema for all views that have the same parameters."""
    declared: dict[str, Any] = {}
    for one in parameters:
        default = MISSING if one.default is one.empty else one.default
        stated = default if isinstance(default, Field) else about(default)
        declared[one.name] = _requested_field(one.annotation, stated)
    return CamelSchema.from_dict(declared, name=f"{name}Schema")


def object_schema(name: str, /, **parts: Any) -> type[Schema]:
    """Return the schema of an object of these parts.

    Shape: a part is a type, a schema, `(schema,)` for a list, or a field of marshmallow. `name` is
    the schema's name in OpenAPI, without `Schema`.
    """
    declared = {one: _field(part, {}) for one, part in parts.items()}
    return CamelSchema.from_dict(declared, name=f"{name}Schema")


def page_schema(item: type[Schema], items: str, name: str) -> type[Schema]:
    """Return the schema of one page of a list: the items under `items`, and the next cursor."""
    return object_schema(name, **{items: (item,), "next_cursor": str | None})


def _field(
    hint: Any, metadata: dict[str, Any], options: dict[str, Any] | None = None
) -> fields.Field[Any]:
    if isinstance(hint, fields.Field):
        return hint
    like = metadata.pop("like", None)
    options = {**(options or {})}
    options |= {name: metadata.pop(name) for name in _OPTIONS if name in metadata}
    if metadata:
        options["metadata"] = metadata
    if get_origin(hint) in {Union, UnionType}:
        options["allow_none"] = NoneType in get_args(hint)
        (hint,) = [one for one in get_args(hint) if one is not NoneType]
    return like(**options) if like else _field_of(hint, options)


def _field_of(hint: Any, options: dict[str, Any]) -> fields.Field[Any]:
    if hint in _PLAIN:
        return _PLAIN[hint](**options)
    if not isinstance(hint, type) or get_origin(hint):
        return _container(hint, options)
    if issubclass(hint, Enum):
        return fields.Enum(hint, by_value=True, **options)
    named: Any = hint
    return fields.Nested(named if issubclass(hint, Schema) else answer_schema(named), **options)


def _container(hint: Any, options: dict[str, Any]) -> fields.Field[Any]:
    origin, inner = get_origin(hint), hint if isinstance(hint, tuple) else get_args(hint)
    if origin in _LISTS or isinstance(hint, tuple):
        return fields.List(_field(inner[0], {}), **options)
    if origin in _MAPPINGS:
        values = None if inner[1] in _ANYTHING else _field(inner[1], {})
        return fields.Dict(keys=_field(inner[0], {}), values=values, **options)
    raise TypeError(f"{hint!r} has no place in an answer in JSON.")
