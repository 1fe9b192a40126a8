"""Addresses that do not exist: a browser sees a page, a program gets a problem."""

from typing import Final

import pytest
from flask import Flask

from chassis.problems import PROBLEM_JSON
from tests.people import ALICE
from tests.push_blaster.web.page_support import Visitor

BROWSER: Final = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/nothing", "/executions/a/b/c", "/cadence/nothing"])
def test_a_browser_sees_a_page_that_leads_back(app: Flask, path: str) -> None:
    for client in (app.test_client(), Visitor(app, "viewer").client):
        answer = client.get(path, headers=BROWSER)

        assert (answer.status_code, answer.mimetype) == (404, "text/html")
        assert "Back to the dashboard" in answer.text
        assert "Content-Security-Policy" in answer.headers


def test_a_browser_that_uses_a_wrong_method_sees_a_page(app: Flask) -> None:
    answer = Visitor(app, "viewer").client.get("/sign-out", headers=BROWSER)

    assert (answer.status_code, answer.mimetype) == (405, "text/html")


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/nothing", "*/*"), ("/api/nothing", BROWSER["Accept"]), ("/nothing", "application/json")],
)
def test_a_program_gets_a_problem(app: Flask, path: str, accept: str) -> None:
    answer = app.test_client().get(path, headers={"Accept": accept})

    assert (answer.status_code, answer.content_type) == (404, PROBLEM_JSON)


@pytest.mark.parametrize("user", ["x", "12", f"{ALICE}0"])
def test_a_search_for_what_is_no_user_id_says_so_beside_the_field(app: Flask, user: str) -> None:
    answer = Visitor(app, "viewer").client.get(f"/deliveries?user={user}", headers=BROWSER)

    assert answer.status_code == 400
    assert "is no user id; ids are UUIDs" in answer.text
    assert f'value="{user}"' in answer.text
    assert "No deliveries" not in answer.text
