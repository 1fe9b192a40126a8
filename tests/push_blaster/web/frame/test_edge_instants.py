"""Whatever instant a caller names, the answer is no crash."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.edge_instants import ask_api, ask_pages, find_crashes, list_periods
from tests.people import ALICE
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create


def test_no_instant_of_a_request_crashes_a_route(client: FlaskClient) -> None:
    document = client.get("/api/openapi.json").get_json()

    count, crashed = find_crashes(client, ask_api(document))

    assert crashed == []
    assert count > 100


def test_no_instant_of_an_address_crashes_a_page(app: Flask, admin: Visitor) -> None:
    count, crashed = find_crashes(admin.client, ask_pages(app))

    assert crashed == []
    assert count > 50


def test_each_route_refuses_a_period_that_ends_before_it_begins(client: FlaskClient) -> None:
    create(client, id="news")
    paths = list_periods(client.get("/api/openapi.json").get_json())

    for path in paths:
        instants = path.replace("-24", "-24T00:00:00Z").replace("-01", "-01T00:00:00Z")
        answer = client.get(instants)
        assert answer.status_code == 400, path
        last = "endDate" if "endDate" in path else "until"
        said = f"{last}: The end is before the beginning: give a later `{last}` or an earlier"
        assert said in answer.get_json()["detail"], path
    assert len(paths) >= 8


@pytest.mark.parametrize("path", ["/executions", "/deliveries", "/audit-log", f"/users/{ALICE}"])
def test_each_page_refuses_a_period_that_ends_before_it_begins(admin: Visitor, path: str) -> None:
    answer = admin.client.get(f"{path}?from=2026-11-24&until=2026-11-01")

    assert answer.status_code == 400
    assert "The end is before the beginning" in answer.text
