"""Every route of both services and of the engine's port, with what no client means: no crash."""

from itertools import islice
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase, Database
from push_blaster.engine_probes import make_engine_probes
from push_blaster.web.frame.csrf import CSRF_FIELD
from tests.builders import a_document
from tests.fuzz.strange import Request, strange_requests, throw_strange
from tests.fuzz.throwing import CASES
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.page_support import Visitor

#: Tests over push_blaster's requests, so that several processes share them.
PARTS = 4


def _form_of(request: Request) -> dict[str, str]:
    data = request[2].get("data")
    return data if isinstance(data, dict) else {}


def _some_of(requests: list[Request], part: int = 0, parts: int = 1) -> list[Request]:
    """Return this part's requests: all in `make fuzz`, or some of each kind."""
    step = max(1, len(requests) // max(1, CASES // 2)) * parts
    return list(islice(requests, part, None, step))


@pytest.mark.parametrize("part", range(PARTS))
def test_a_strange_request_crashes_no_route_of_push_blaster(
    app: Flask, client: FlaskClient, bench: Bench, part: int
) -> None:
    client.post("/api/automation/recipes", json=a_document(id="news"))
    requests = list(strange_requests(app, client.get("/api/openapi.json").get_json()))

    assert len(requests) > 10_000
    assert throw_strange(client, _some_of(requests, part, PARTS)) == []


def test_a_strange_form_crashes_no_page(app: Flask, bench: Bench) -> None:
    admin = Visitor(app, "admin")
    admin.client.post(
        "/api/automation/recipes",
        json=a_document(id="news"),
        headers={"X-CSRF-Token": admin.csrf_token()},
    )
    forms = [one for one in strange_requests(app, {"paths": {}}) if CSRF_FIELD in _form_of(one)]
    for _, _, options in forms:
        options["data"][CSRF_FIELD] = admin.csrf_token()

    assert len(forms) > 500
    assert throw_strange(admin.client, _some_of(forms)) == []


def test_a_strange_request_crashes_no_route_of_cadence(
    cadence_app: Flask, cadence: FlaskClient, cadence_database: BulkDatabase
) -> None:
    requests = list(strange_requests(cadence_app, cadence.get("/openapi.json").get_json()))

    assert len(requests) > 5_000
    assert throw_strange(cadence, _some_of(requests)) == []


def test_a_strange_request_crashes_no_route_of_the_engine_s_port(
    database: Database, push_url: str
) -> None:
    roles = settings_for(push_url, Path()).tokens
    app = make_engine_probes(roles, database, metrics_open=True)
    client = app.test_client()
    document = client.get("/openapi.json").get_json()

    assert throw_strange(client, _some_of(list(strange_requests(app, document)))) == []
