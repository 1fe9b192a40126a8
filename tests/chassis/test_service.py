"""Routes: what a view takes and answers is read from its signature."""

from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import validate

from chassis.bearer_auth import Caller, Role, asks_for
from chassis.service import Routes, ServiceFrame, frame_service
from chassis.typed_schemas import about, object_schema

HEADERS = {"Authorization": "Bearer admin"}


def make_routes() -> Routes:
    routes = Routes("things", __name__, description="Things")

    @routes.route("/things/<kind>", methods=["GET"])
    @routes.query
    def list_all(
        kind: str,
        *,
        limit: int = about(5, validate=validate.Range(min=1, max=9)),
        dry: bool = False,
    ) -> Mapping[str, object]:
        """List things."""
        return {"kind": kind, "limit": limit, "dry": dry}

    @routes.route("/things", methods=["POST"])
    @routes.body("NewThing")
    @routes.response(201, object_schema("Thing", name=str))  # type: ignore[untyped-decorator]  # flask-smorest ships no types
    def create(*, name: str, size: int | None = None) -> Mapping[str, object]:
        """Create a thing."""
        return {"name": f"{name} {size}"}

    @routes.route("/things", methods=["DELETE"])
    @asks_for(Role.OPERATOR, simulates=True)
    @routes.body("Removal", required=False)
    @routes.answers(202)
    def remove(*, reason: str = "none") -> tuple[Mapping[str, str], int]:
        """Remove everything."""
        return {"reason": reason}, 202

    return routes


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("things")
    frame = ServiceFrame(
        title="Things",
        version="1",
        openapi_path="/openapi.json",
        find_caller=lambda name: Caller(name, Role.ADMIN, only_simulates=name == "test"),
        problems={},
    )
    app.config["MAX_CONTENT_LENGTH"] = 10_000
    frame_service(app, frame).register_blueprint(make_routes())
    return app.test_client()


def test_a_view_gets_its_parameters_from_the_query(client: FlaskClient) -> None:
    answer = client.get("/things/red?limit=3&dry=true", headers=HEADERS)

    assert answer.get_json() == {"kind": "red", "limit": 3, "dry": True}
    assert client.get("/things/red", headers=HEADERS).get_json()["limit"] == 5


@pytest.mark.parametrize(
    ("query", "field"), [("limit=10", "limit"), ("limit=x", "limit"), ("dry=maybe", "dry")]
)
def test_a_wrong_query_is_refused_by_the_name_of_its_field(
    client: FlaskClient, query: str, field: str
) -> None:
    answer = client.get(f"/things/red?{query}", headers=HEADERS)

    assert answer.status_code == 400
    assert answer.get_json()["errors"][0].startswith(f"{field}: ")


def test_a_view_gets_its_parameters_from_the_body(client: FlaskClient) -> None:
    answer = client.post("/things", json={"name": "a", "size": None}, headers=HEADERS)

    assert answer.status_code == 201
    assert answer.get_json() == {"name": "a None"}


@pytest.mark.parametrize(
    ("body", "field"), [({}, "name"), ({"name": None}, "name"), ({"name": "a", "x": 1}, "x")]
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(
    client: FlaskClient, body: Mapping[str, Any], field: str
) -> None:
    answer = client.post("/things", json=body, headers=HEADERS)

    assert answer.status_code == 400
    assert answer.get_json()["errors"][0].startswith(f"{field}: ")


def test_a_body_that_may_be_missing_may_be_missing(client: FlaskClient) -> None:
    assert client.delete("/things", headers=HEADERS).get_json() == {"reason": "none"}


def test_openapi_has_the_parameters_and_a_success_of_every_route(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()

    listing, things = document["paths"]["/things/{kind}"]["get"], document["paths"]["/things"]
    assert {one["name"]: one["in"] for one in listing["parameters"]} == {
        "limit": "query",
        "dry": "query",
    }
    assert set(document["components"]["schemas"]) >= {"NewThing", "Removal", "Thing"}
    assert listing["responses"]["200"]["content"]["application/json"]["schema"] == {
        "type": "object"
    }
    assert "200" not in things["delete"]["responses"]
    assert "200" not in things["post"]["responses"]


def test_a_test_token_may_use_only_views_that_simulate(client: FlaskClient) -> None:
    test = {"Authorization": "Bearer test"}

    assert client.delete("/things", headers=test).status_code == 202
    assert client.post("/things", json={"name": "a"}, headers=test).status_code == 403
