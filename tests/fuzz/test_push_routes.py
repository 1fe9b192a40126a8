"""Every route of push_blaster with generated requests, about existing and missing things."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from chassis.postgres import Database
from push_blaster.app import create_app
from push_blaster.wiring import connect_adapters
from tests.builders import a_document
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fuzz.throwing import CASES, Thrown, operations, throw_at
from tests.people import ALICE
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.one_off.scheduled_pushes import scheduled

DOCUMENT = "/api/openapi.json"
#: Each over a world of its own, in which what is known is deleted last.
PARTS = 10


@pytest.fixture
def app(push_url: str, database: Database, cadence_service: str, tmp_path: Path) -> Iterator[Flask]:
    settings = replace(
        settings_for(push_url, tmp_path), cadence_url=cadence_service, cadence_token=CADENCE_TOKEN
    )
    adapters = connect_adapters(settings)
    yield create_app(settings, adapters)
    adapters.database.close()


@pytest.fixture
def known(app: Flask, bench: Bench) -> dict[str, str]:
    """The ids of an automation, its execution, a template, a push, a version, a script, a token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    client.post("/api/automation/recipes", json=a_document(id="news"))
    execution_id = bench.start(id="news")
    bench.run(execution_id)
    template = client.post("/api/automation/templates/from/news", json={"name": "Known"})
    client.post("/api/tokens", json={"name": "known", "role": "viewer"})
    versions = client.get("/api/automation/recipes/news/versions").get_json()["versions"]
    return {
        "version_id": str(versions[0]["id"]),
        **dict.fromkeys(("automation_id", "automationId", "id"), "news"),
        **dict.fromkeys(("execution_id", "executionId"), execution_id),
        **dict.fromkeys(("template_id", "templateId"), template.get_json()["data"]["id"]),
        "push_id": scheduled(client)["id"],
        "script_id": "users",
        "user_id": str(ALICE),
        "name": "known",
    }


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_comes_is_answered_as_the_document_tells(
    app: Flask, known: dict[str, str], part: int, request: pytest.FixtureRequest
) -> None:
    routes = operations(app, DOCUMENT)
    thrown = Thrown(CASES * 3 // 4 // len(routes), "admin", known)

    for route in sorted(routes[part::PARTS], key=lambda route: bool(route.method == "delete")):
        throw_at(route, thrown, request)
