"""The pages that describe the API of both services, from their own OpenAPI documents."""

from typing import Any

import pytest
from flask import Flask

from push_blaster.web.operations.openapi_view import view_document
from tests.page_reader import table_rows
from tests.push_blaster.web.page_support import Visitor


@pytest.fixture
def beside_cadence(app: Flask, app_beside_cadence: Flask) -> Visitor:
    """A viewer of pages that reach a cadence service."""
    return Visitor(app_beside_cadence, "viewer")


def list_operations(document: Any) -> list[str]:
    return [
        f'<b class="method {method}">{method.upper()}</b>'
        for methods in document["paths"].values()
        for method in methods
        if method != "parameters"
    ]


def test_the_page_has_every_operation_and_schema_of_this_service(viewer: Visitor) -> None:
    document: Any = viewer.client.get("/api/openapi.json").get_json()

    page = viewer.get("/api-docs")

    assert page.count('class="method ') == len(list_operations(document)) > 80
    assert [path for path in document["paths"] if f"<code>{path}</code>" not in page] == []
    names = document["components"]["schemas"]
    assert [name for name in names if f'id="schema-{name}"' not in page] == []
    anchors = {part.partition('"')[0] for part in page.split('href="#')[1:]}
    assert [anchor for anchor in anchors if f'id="{anchor}"' not in page] == []


def test_parameters_bodies_and_answers_are_told(viewer: Visitor) -> None:
    rows = table_rows(viewer.get("/api-docs"))

    assert ["userId required", "query", "uuid", ""] in rows
    assert ["automationId required", "string", ""] in rows
    assert any(row[:1] == ["202"] and row[-1] == "Execution" for row in rows)


def test_an_example_calls_this_address_with_a_body_that_has_what_is_required(
    viewer: Visitor,
) -> None:
    page = viewer.get("/api-docs")

    start = page.index("curl -sS -X POST &#34;http://localhost/api/test-devices&#34;")
    assert 'aria-label="Copy the example of POST /api/test-devices"' in page
    assert (
        "{&#34;name&#34;: &#34;…&#34;, &#34;token&#34;: &#34;…&#34;}" in page[start : start + 400]
    )
    assert "Authorization: Bearer $TOKEN" in page[start : start + 200]


def test_the_cadence_service_describes_itself(beside_cadence: Visitor) -> None:
    page = beside_cadence.get("/api-docs/cadence")

    assert "<code>/filter-audience</code>" in page
    assert "$CADENCE/filter-audience" in page


def test_while_the_cadence_service_is_away_its_page_says_so(viewer: Visitor) -> None:
    answer = viewer.client.get("/api-docs/cadence")

    assert answer.status_code == 503
    assert "describes its own API, and does not answer now" in answer.text


def test_the_pages_load_nothing_from_elsewhere_and_ask_for_a_sign_in(
    app: Flask, viewer: Visitor
) -> None:
    page = viewer.client.get("/api-docs")

    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "<script>" not in page.text
    assert 'src="http' not in page.text
    assert app.test_client().get("/api-docs").status_code == 303


def test_a_document_with_parts_of_many_kinds_is_shown() -> None:
    cycle = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/A"}}}
    document = {
        "info": {"title": "T"},
        "paths": {
            "/x/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {}}],
                "put": {
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/A"}}
                        }
                    },
                    "responses": {"204": {"description": "Done"}},
                },
            }
        },
        "components": {"schemas": {"A": {**cycle, "required": ["next"]}}},
    }

    view = view_document(document, "http://h")

    ((group, _, (one,)),) = view.groups
    assert (group, one.method, one.anchor) == ("other", "PUT", "PUT-x-id")
    assert one.bodies[0][1].schema == "A"
    assert one.curl.startswith('curl -sS -X PUT "http://h/x/{id}"')
    assert view.schemas["A"][0].shape.text == "A"
