"""Which threads serve a request: tables, checks and stops have their own, by one rule each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from cadence_contract import (
    EXTEND_RESERVATION_PATH,
    FILTER_AUDIENCE_PATH,
    TRACK_NOTIFICATION_PATH,
)
from chassis.http.request_classes import MAX_CHECK, RequestClass, find_class
from push_blaster.app import create_app
from tests.push_blaster.settings import settings_for
from tests.routes import fill_rule


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder: Path = tmp_path_factory.mktemp("web")
    return create_app(settings_for("postgresql://nobody@127.0.0.1:9/none", folder))


def list_tables(app: Flask) -> Iterator[str]:
    """Yield the path of every route that answers with a CSV."""
    document = app.test_client().get("/api/openapi.json").get_json()
    for path, methods in document["paths"].items():
        answers = methods.get("get", {}).get("responses", {}).values()
        if any("text/csv" in answer.get("content", {}) for answer in answers):
            yield path


def test_every_table_that_is_read_while_it_is_sent_has_threads_of_its_own(web: Flask) -> None:
    found = {path: find_class(web, "GET", path) for path in list_tables(web)}

    assert len(found) >= 4
    assert set(found.values()) == {RequestClass.EXPORT}, found


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, RequestClass.CHECK), (MAX_CHECK, RequestClass.CHECK), (10**9, RequestClass.HUGE_CHECK)],
)
def test_what_a_send_asks_cadence_is_a_check_of_any_size(
    cadence_app: Flask, prefix: str, size: int, expected: RequestClass
) -> None:
    asked = [
        ("POST", FILTER_AUDIENCE_PATH),
        ("POST", TRACK_NOTIFICATION_PATH),
        ("POST", EXTEND_RESERVATION_PATH),
        ("DELETE", "/reservations/a/key"),
    ]

    found = {path: find_class(cadence_app, method, prefix + path, size) for method, path in asked}

    assert set(found.values()) == {expected}, found


@pytest.mark.parametrize("size", [0, 10**9])
def test_whatever_stops_or_asks_whether_to_stop_is_a_stop_of_any_size(
    web: Flask, size: int
) -> None:
    marked = {
        (method, fill_rule(rule.rule))
        for rule in web.url_map.iter_rules()
        if hasattr(web.view_functions[rule.endpoint], "stop_actions")
        for method in (rule.methods or set()) - {"OPTIONS"}
    }
    asking = {("GET", "/stop-everything"), ("GET", "/executions/x/stop")}
    asking |= {("GET", "/executions/x/cancel"), ("GET", "/automations/x/pause")}

    found = {(verb, path): find_class(web, verb, path, size) for verb, path in marked | asking}

    assert len(marked) >= 10
    assert ("POST", "/api/automation/emergency-stop") in marked
    assert set(found.values()) == {RequestClass.STOP}, found
