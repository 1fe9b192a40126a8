"""The page about people, and the owners of tokens."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.bearer_auth import Role
from push_blaster.app import create_app
from tests.fakes.identity_provider import FakeProvider, anna
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.access.people_support import PersonVisitor
from tests.push_blaster.web.page_support import Visitor


def key_of(page: str, who: str) -> str:
    """Return the key by which the page ends the sessions of somebody."""
    row = next(row for row in page.split("<tr>") if who in row)
    found = re.search(r'name="key" value="([^"]+)"', row)
    assert found, row
    return found[1]


def test_an_admin_sees_who_is_signed_in_and_from_where_and_ends_sessions(
    people_app: Flask, provider: FakeProvider
) -> None:
    admin, operator = Visitor(people_app, "admin"), Visitor(people_app, "operator")
    first, second, bert = (PersonVisitor(people_app) for _ in range(3))
    first.sign_in()
    second.sign_in()
    provider.who = anna(sub="b-1", name="Bert", roles=["all"])
    bert.sign_in()
    page = admin.get("/people")

    ended = admin.post("/people/end", key=key_of(page, "account a-1"))
    admin.post("/people/end", key=key_of(page, "operator"))

    assert [text in page for text in ("Bert", "Viewer", "identity provider", "token")] == [True] * 4
    assert "token of the environment" in page
    assert ended.location == "/people"
    assert (first.name(), second.name()) == ("", "")
    assert operator.client.get("/executions").status_code == 303
    assert bert.name() == "Bert (anna@example.com)"
    assert "Signed in as admin" in admin.get("/executions")


def test_the_api_lists_people_and_ends_sessions_as_the_page_does(
    people_app: Flask, provider: FakeProvider
) -> None:
    admin, operator = Visitor(people_app, "admin"), Visitor(people_app, "operator")
    person = PersonVisitor(people_app)
    person.sign_in()
    api = people_app.test_client()
    api.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    listed = {one["label"]: one for one in api.get("/api/people").get_json()["items"]}
    anna_s = next(one for one in listed.values() if one["subject"] == "a-1")

    def end(key: str) -> Any:
        return api.post("/api/people/end-sessions", json={"key": key})

    ended = [end(anna_s["key"]).get_json()["ended"] for _ in "ab"]
    of_token = end(listed["operator"]["key"]).get_json()
    unknown = end("person 99999999999999999999")

    assert (anna_s["sessions"], anna_s["source"]) == (1, "identity provider")
    assert listed["admin"]["source"] == "token of the environment"
    assert ended == [1, 0]
    assert of_token == {"key": "environment operator", "ended": 1}
    assert unknown.status_code == 404
    assert person.name() == ""
    assert operator.client.get("/executions").status_code == 303
    assert "Signed in as admin" in admin.get("/executions")
    assert "/api/people/end-sessions" in api.get("/api/audit-log?limit=9").text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_admin_may_know_who_is_signed_in(app: Flask, role: str) -> None:
    headers = {"Authorization": f"Bearer {role}"}
    client = app.test_client()

    assert client.get("/api/people", headers=headers).status_code == 403
    ended = client.post(
        "/api/people/end-sessions", headers=headers, json={"key": "environment admin"}
    )
    assert ended.status_code == 403


def test_sessions_of_a_token_are_shown_under_its_owner_and_end_too(
    app: Flask, client: FlaskClient, admin: Visitor
) -> None:
    body = {"name": "ci", "role": "viewer", "owner": "Anna Bauer"}
    secret = client.post("/api/tokens", json=body).get_json()["token"]
    visitor = Visitor(app, secret)
    client.post("/api/tokens/ci/rotate", json={})
    key = key_of(admin.get("/people"), "Anna Bauer (token ci)")

    admin.post("/people/end", key=key)

    assert visitor.client.get("/executions").status_code == 303
    assert client.get("/api/executions", headers={"Authorization": f"Bearer {secret}"}).json


def test_whatever_key_comes_ends_nothing_of_others(admin: Visitor) -> None:
    for key in ("", "person", "person x", "person 99999999999999999999", "token ", "x y", "admin"):
        assert admin.post("/people/end", key=key).status_code == 303

    assert "Signed in as admin" in admin.get("/executions")


def test_others_see_nothing_of_it(operator: Visitor) -> None:
    assert operator.client.get("/people").status_code == 403
    assert operator.post("/people/end", key="environment admin").status_code == 403


def test_what_a_token_does_is_under_its_owner_s_name(app: Flask, client: FlaskClient) -> None:
    body = {"name": "pager", "role": "operator", "owner": "Anna Bauer"}
    made = client.post("/api/tokens", json=body).get_json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    client.post("/api/automation/emergency-stop", headers=headers)

    log = client.get("/api/audit-log?actor=Anna Bauer (token pager)").get_json()["changes"]

    assert made["owner"] == "Anna Bauer"
    assert [one["path"] for one in log] == ["/api/automation/emergency-stop"]
    assert "Signed in as Anna Bauer (token pager)" in Visitor(app, made["token"]).get("/executions")


def test_an_owner_is_a_name_that_everybody_can_read(client: FlaskClient) -> None:
    for owner in ("", " ", "a\nb", "x" * 81, "An\u202ena"):
        body = {"name": "phone", "role": "viewer", "owner": owner}
        refused = client.post("/api/tokens", json=body)
        assert refused.status_code == 400, owner
        assert "owner" in refused.get_json()["detail"]


def test_a_token_of_the_environment_has_an_owner_by_its_setting(
    push_url: str, tmp_path: Path, app: Flask
) -> None:
    owners = {Role.ADMIN: "Anna Bauer"}
    owned = create_app(replace(settings_for(push_url, tmp_path), token_owners=owners))

    assert "Signed in as Anna Bauer (token admin)" in Visitor(owned, "admin").get("/executions")
    assert "Signed in as viewer" in Visitor(owned, "viewer").get("/executions")


def test_the_form_of_a_token_asks_for_its_owner(admin: Visitor) -> None:
    admin.post("/tokens", name="phone", role="viewer", days="7", owner="Anna Bauer")
    refused = admin.post("/tokens", name="pad", role="viewer", days="7", owner="x" * 81)

    assert ">Anna Bauer</td>" in admin.get("/tokens")
    assert refused.status_code == 400
    assert "owner: " in refused.text
