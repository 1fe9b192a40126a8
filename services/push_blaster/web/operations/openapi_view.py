"""An OpenAPI document as a page shows it: operations by group, each with an example; schemas."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

Json = Mapping[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/"
#: What stands in an example for a value of each type.
_EXAMPLES: Final[Json] = {"integer": 1, "number": 1.5, "boolean": True, "object": {}, "array": []}
_FORMATS: Final = {
    "uuid": "7e57ab1e-0000-4000-8000-000000000001",
    "date-time": "2026-11-24T11:30:00+00:00",
    "date": "2026-11-24",
}


class Shape(NamedTuple):
    """A type in words, and the schema that it leads to, if it leads to one."""

    text: str
    schema: str | None = None


class Part(NamedTuple):
    """A parameter, or a field of a schema."""

    name: str
    place: str
    shape: Shape
    is_required: bool
    about: str


class Answer(NamedTuple):
    """A status that a route answers, and the shape of its body."""

    status: str
    about: str
    shape: Shape | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation, with a command that calls it."""

    method: str
    path: str
    group: str
    summary: str
    about: str
    is_deprecated: bool
    parameters: Sequence[Part]
    bodies: Sequence[tuple[str, Shape]]
    answers: Sequence[Answer]
    curl: str

    @property
    def anchor(self) -> str:
        """The id of the operation on the page."""
        return f"{self.method}{self.path}".replace("{", "").replace("}", "").replace("/", "-")


@dataclass(frozen=True, slots=True)
class ApiView:
    """A whole document: its operations by group, and its schemas by name."""

    title: str
    groups: Sequence[tuple[str, str, Sequence[Operation]]]
    schemas: Mapping[str, Sequence[Part]]


def view_document(document: Json, base: str) -> ApiView:
    """Return an OpenAPI document for a page; the examples call the service at `base`."""
    schemas: Json = document.get("components", {}).get("schemas", {})
    abouts = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    found = sorted(_list_operations(document, base), key=lambda one: one.group)
    return ApiView(
        title=document["info"]["title"],
        groups=[
            (group, abouts.get(group, ""), list(operations))
            for group, operations in groupby(found, lambda one: one.group)
        ],
        schemas={name: _list_fields(schema) for name, schema in sorted(schemas.items())},
    )


def _list_operations(document: Json, base: str) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                shared = item.get("parameters", [])
                yield _read_operation(document, base, path, method, item[method], shared)


def _read_operation(
    document: Json, base: str, path: str, method: str, spec: Json, shared: Sequence[Json]
) -> Operation:
    parameters = [_follow(document, one) for one in (*shared, *spec.get("parameters", ()))]
    content: Json = spec.get("requestBody", {}).get("content", {})
    return Operation(
        method=method.upper(),
        path=path,
        group=next(iter(spec.get("tags", ())), "other"),
        summary=spec.get("summary", ""),
        about=spec.get("description", ""),
        is_deprecated=spec.get("deprecated", False),
        parameters=[_read_parameter(one) for one in parameters],
        bodies=[(kind, name_shape(one.get("schema", {}))) for kind, one in content.items()],
        answers=[
            _read_answer(status, _follow(document, answer))
            for status, answer in sorted(spec.get("responses", {}).items())
        ],
        curl=_write_curl(document, base + path, method, parameters, content),
    )


def _follow(document: Json, part: Json) -> Json:
    """Return the part that a reference leads to; other parts as they are."""
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found  # type: ignore[no-any-return]  # a document of JSON


def _read_parameter(spec: Json) -> Part:
    shape = name_shape(spec.get("schema", {}))
    return Part(
        spec["name"], spec["in"], shape, spec.get("required", False), spec.get("description", "")
    )


def _read_answer(status: str, spec: Json) -> Answer:
    bodies = spec.get("content", {}).values()
    shapes = [name_shape(body.get("schema", {})) for body in bodies]
    return Answer(status, spec.get("description", ""), next(iter(shapes), None))


def _list_fields(schema: Json) -> list[Part]:
    required = set(schema.get("required", ()))
    return [
        Part(name, "", name_shape(one), name in required, one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]


def name_shape(schema: Json) -> Shape:
    """Return the type of a schema in words, and the schema that it leads to."""
    for part in (schema, *schema.get("allOf", ())):
        if "$ref" in part:
            name = part["$ref"].removeprefix(_REF)
            return Shape(name, name)
    if schema.get("type") == "array":
        inner = name_shape(schema.get("items", {}))
        return Shape(f"list of {inner.text}", inner.schema)
    return Shape(_describe_plain(schema))


def _describe_plain(schema: Json) -> str:
    if "enum" in schema:
        kind = f"one of {', '.join(str(value) for value in schema['enum'] if value is not None)}"
    else:
        kind = schema.get("format") or schema.get("type") or "anything"
    limits = {"minimum": "at least", "maximum": "at most", "maxLength": "up to"}
    bounds = [f"{text} {schema[name]}" for name, text in limits.items() if name in schema]
    return ", ".join([kind, *bounds, *(["or null"] if schema.get("nullable") else [])])


def _write_curl(
    document: Json, url: str, method: str, parameters: Sequence[Json], content: Json
) -> str:
    asked = "&".join(
        f"{one['name']}={_example(document, one.get('schema', {}))}"
        for one in parameters
        if one["in"] == "query" and one.get("required")
    )
    lines = [
        f'curl -sS -X {method.upper()} "{url}{"?" if asked else ""}{asked}"',
        '-H "Authorization: Bearer $TOKEN"',
    ]
    if _JSON in content:
        body = content[_JSON].get("example") or _example(document, content[_JSON].get("schema", {}))
        written = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
        lines += [f'-H "Content-Type: {_JSON}"', f"-d '{written}'"]
    elif "multipart/form-data" in content:
        lines.append("-F 'file=@file.csv'")
    elif content:
        lines += [f'-H "Content-Type: {next(iter(content))}"', "--data-binary @file.csv"]
    return " \\\n  ".join(lines)


def _example(document: Json, schema: Json, depth: int = 0) -> Any:
    """Return a value that fits a schema: of an object, its required fields."""
    schema = _follow(document, next(iter(schema.get("allOf", ())), schema))
    if "example" in schema:
        return schema["example"]
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema and depth < len(METHODS):
        required = schema.get("required", ())
        return {
            name: _example(document, one, depth + 1)
            for name, one in schema["properties"].items()
            if name in required
        }
    return _example_of_type(document, schema, depth)


def _example_of_type(document: Json, schema: Json, depth: int) -> Any:
    if schema.get("type") == "array" and "items" in schema:
        return [_example(document, schema["items"], depth + 1)]
    fallback = _EXAMPLES.get(schema.get("type", ""), "…")
    return _FORMATS.get(schema.get("format", ""), fallback)
