"""Instants at the edge of the calendar, put into every query name and field that takes one."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient

from tests.people import ALICE

#: No zone but their own can show them, and nothing can be added to the last ones.
EDGES: Final = (
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *("0001-01-01", "9999-12-31", "9999-12-31T23:59:59.999999Z"),
)
#: Names of queries that stand for an instant or a day, whatever their type is.
NAMES: Final = frozenset(
    {"from", "until", "at", "since", "day", "cursor", "before", "after", "startDate", "endDate"}
)
_PLACES: Final = frozenset({"cursor", "before", "after"})
_SOON: Final = "2026-11-24T12:00:00Z"

#: Method, path and body of a request.
Request = tuple[str, str, object]


def ask_api(document: Mapping[str, Any]) -> Iterator[Request]:
    """Yield requests of an API, each with an edge in one query name or in one field of the body."""
    for method, path, operation in _operations(document):
        for one in operation.get("parameters", ()):
            if one["in"] == "query" and _takes_instant(one):
                yield from _with_query(method, path, one["name"])
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        for edge in EDGES[:2]:
            yield from ((method, path, body) for body in _bodies(schema, document, edge))


def ask_pages(app: Flask) -> Iterator[Request]:
    """Yield requests of pages, each with an edge under one name that the page's module reads."""
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not rule.endpoint.startswith("pages_"):
            continue
        path = re.sub(r"<[^>]+>", "news", rule.rule.replace("<user_id>", str(ALICE)))
        text = inspect.getsource(inspect.getmodule(app.view_functions[rule.endpoint]))  # type: ignore[arg-type]  # each has a module
        for name in sorted(NAMES):
            if f'"{name}"' in text:
                yield from _with_query("GET", path, name)
        for edge in EDGES if "_day" in rule.rule or "<day>" in rule.rule else ():
            yield "GET", re.sub(r"<[^>]+>", edge, rule.rule), None


def list_periods(document: Mapping[str, Any]) -> list[str]:
    """Return a path with a period that ends before it begins, for each route that takes one."""
    return [
        f"{path}?{first}=2026-11-24&{last}=2026-11-01"
        for _, path, operation in _operations(document)
        for first, last in (("from", "until"), ("startDate", "endDate"))
        if {first, last} <= {one["name"] for one in operation.get("parameters", ())}
    ]


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield method, path and description of each operation."""
    for path, methods in document["paths"].items():
        filled = re.sub(r"\{[^}]+\}", "news", path.replace("{user_id}", str(ALICE)))
        for method, operation in methods.items():
            if isinstance(operation, Mapping):
                yield method.upper(), filled, operation


def find_crashes(client: FlaskClient, requests: Iterator[Request]) -> tuple[int, list[object]]:
    """Send the requests; return how many there were, and those that crashed."""
    count, crashed = 0, list[object]()
    for method, path, body in requests:
        answer = client.open(path, method=method, json=body)
        count += 1
        if answer.status_code >= 500 and answer.status_code != 503:
            crashed.append((method, path, body, answer.get_data(as_text=True)[:300]))
        answer.close()
    return count, crashed


def _with_query(method: str, path: str, name: str) -> Iterator[Request]:
    for edge in EDGES:
        value = f"{edge}|{UUID(int=1)}" if name in _PLACES else edge
        yield method, f"{path}?{name}={value.replace('+', '%2B')}", None


def _takes_instant(parameter: Mapping[str, Any]) -> bool:
    return parameter["name"] in NAMES or _is_instant(parameter.get("schema", {}))


def _is_instant(schema: Mapping[str, Any]) -> bool:
    return schema.get("format") in {"date-time", "date"}


def _bodies(schema: Mapping[str, Any], document: Mapping[str, Any], edge: str) -> Iterator[object]:
    """Yield values that fit a schema, as far as it says, each with the edge in one place."""
    schema = _resolve(schema, document)
    if _is_instant(schema):
        yield edge
    elif "items" in schema:
        yield from ([one] for one in _bodies(schema["items"], document, edge))
    elif "properties" in schema:
        required = schema.get("required", ())
        usual = {name: _usual(schema["properties"][name], document) for name in required}
        for name, field in schema["properties"].items():
            yield from ({**usual, name: one} for one in _bodies(field, document, edge))


def _resolve(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    for choice in ("allOf", "anyOf", "oneOf"):
        schema = schema[choice][0] if choice in schema else schema
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _usual(schema: Mapping[str, Any], document: Mapping[str, Any]) -> object:
    """Return a value that fits a schema, as far as it says."""
    schema = _resolve(schema, document)
    if "enum" in schema:
        return schema["enum"][0]
    if "items" in schema:
        return [_usual(schema["items"], document)]
    if "properties" in schema:
        fields = schema["properties"]
        return {name: _usual(fields[name], document) for name in schema.get("required", ())}
    kinds = {"date-time": _SOON, "date": _SOON[:10], "uuid": str(ALICE)}
    plain = {"integer": 1, "number": 1, "boolean": True, "string": "news", "object": {}}
    return kinds.get(schema.get("format", ""), plain.get(str(schema.get("type")), str(ALICE)))
