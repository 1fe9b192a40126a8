"""docs/api.md has every route of both services, with its role, in the words of OpenAPI."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask

from chassis.bearer_auth import is_open, required_role
from push_blaster.app import create_app
from tests.documents import ALL_TEXT, find_code, read_tables
from tests.push_blaster.settings import settings_for

PAGE: Final = "docs/api.md"
#: Of the original, and named because they are not there.
GONE: Final = {"/api/execute-query", "/api/automation/execute-stream"}

#: Paths that begin so are files of a machine, and no routes.
FOLDERS: Final = ("/etc/", "/opt/", "/usr/", "/var/")


@pytest.fixture
def push_app(postgres: object, tmp_path: Path) -> Flask:
    return create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))


def describe_routes(app: Flask, openapi: str) -> list[str]:
    """Return the line that the page has to have for every route that OpenAPI describes."""
    document: Any = app.test_client().get(openapi).get_json()
    endpoints = {
        (method, write_path(rule.rule)): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    return [
        f"| `{method} {path}` | {find_role(app, endpoints[method, path], method)} | {summary} |"
        for path, method, summary in (
            (write_path(path), method.upper(), told["summary"])
            for path, methods in document["paths"].items()
            for method, told in methods.items()
            if method != "parameters"
        )
    ]


def write_path(path: str) -> str:
    """Return a route's path as pages write it."""
    return re.sub(r"[<{](?:\w+(?:\([^)]*\))?:)?(\w+)[}>]", r"<\1>", path)


def find_role(app: Flask, endpoint: str, method: str) -> str:
    return "open" if is_open(app, endpoint) else required_role(app, endpoint, method).name.lower()


def test_the_page_has_every_route_with_its_role_and_its_words(
    push_app: Flask, cadence_app: Flask
) -> None:
    told = [f"| {' | '.join(row.values())} |" for row in read_tables(PAGE, "route", "role", "what")]
    there = describe_routes(push_app, "/api/openapi.json")
    there += describe_routes(cadence_app, "/openapi.json")

    missing = [line for line in there if line not in told]
    assert missing == [], f"write these lines into a table of {PAGE}"
    assert [line for line in told if line not in there] == [], f"{PAGE} tells what is not so"


def test_every_route_that_a_page_names_is_there(push_app: Flask, cadence_app: Flask) -> None:
    rules = [rule.rule for app in (push_app, cadence_app) for rule in app.url_map.iter_rules()]
    known = {re.sub(r"<[^>]+>", "<>", rule) for rule in rules}
    written = re.compile(r"(?:\b(?:GET|POST|PUT|DELETE)\s+|\$PUSH|\$CADENCE|^)(/[\w/<>.-]*[\w>])")

    named = {
        re.sub(r"<[^>]+>", "<>", path)
        for code in find_code(ALL_TEXT)
        for path in written.findall(code)
        if not path.startswith(FOLDERS)
    }

    assert len(named) > 60
    beginnings_of_all = {"/api", "/api/automation"}
    assert named - known - GONE - beginnings_of_all == set()
