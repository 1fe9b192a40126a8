"""What every answer of both services carries, and how large a request may be."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from push_blaster.app import MAX_BODY, create_app
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.push_blaster.settings import settings_for


@pytest.fixture
def app(postgres: object, tmp_path: Path) -> Flask:
    return create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["app", "cadence_app"])
@pytest.mark.parametrize(
    "path", ["/health", "/openapi.json", "/api/executions", "/rules", "/none", "/sign-in", "/"]
)
def test_every_answer_says_what_a_browser_may_do_with_it(
    name: str, path: str, request: pytest.FixtureRequest
) -> None:
    app: Flask = request.getfixturevalue(name)

    headers = app.test_client().get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Request-Id"]


@pytest.mark.parametrize("name", ["app", "cadence_app"])
def test_over_https_browsers_are_told_to_stay_there(
    name: str, request: pytest.FixtureRequest
) -> None:
    client = request.getfixturevalue(name).test_client()

    secure = client.get("/health", base_url="https://push.example")

    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in client.get("/health").headers


def test_a_body_beyond_the_limit_is_refused(app: Flask) -> None:
    headers = {"Authorization": "Bearer admin", "Content-Type": "application/json"}

    answer = app.test_client().post("/api/devices", data=b" " * (MAX_BODY + 1), headers=headers)

    assert answer.status_code == 413


@pytest.mark.parametrize("body", [b'{"\\ud800": 1}', b'{"a": NaN}', b"\xff", b"{"])
def test_a_body_that_is_no_json_is_refused_with_the_reason(cadence_app: Flask, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {CADENCE_TOKEN}", "Content-Type": "application/json"}

    answer = cadence_app.test_client().post("/filter-audience", data=body, headers=headers)

    assert answer.status_code == 400
    assert "Invalid JSON body: " in answer.get_json()["detail"]


def list_fields(app: Flask, openapi: str) -> list[str]:
    """Return a line for every object that OpenAPI describes, with the names of its fields."""
    schemas: Any = app.test_client().get(openapi).get_json()["components"]["schemas"]
    return [
        f"{name}: {' '.join(sorted(one.get('properties', {})))}" for name, one in schemas.items()
    ]


def test_no_field_comes_or_goes_unnoticed(app: Flask, cadence_app: Flask) -> None:
    """Many answers have the fields of a type of ours, and the type may get another one."""
    told = (Path(__file__).parent / "answered_fields.txt").read_text().splitlines()

    there = list_fields(app, "/api/openapi.json") + list_fields(cadence_app, "/openapi.json")

    missing = sorted(set(there) - set(told))
    assert missing == [], "if clients shall see that, write it into answered_fields.txt"
    assert sorted(set(told) - set(there)) == [], "answered_fields.txt tells what is not so"
