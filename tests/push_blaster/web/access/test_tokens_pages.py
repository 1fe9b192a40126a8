"""The page about tokens: a secret is shown once, and asked twice before one is gone."""

import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape

from flask import Flask

from push_blaster.web.access.session import COOKIE
from tests.page_reader import form_values
from tests.push_blaster.web.page_support import Visitor


def _secret(page: str) -> str:
    found = re.search(r"<code>(push_[\w-]+)</code>", page)
    assert found
    return found[1]


def test_an_admin_creates_a_token_and_sees_its_secret_once(app: Flask, admin: Visitor) -> None:
    made = admin.post("/tokens", name="alice", role="operator", days="90")

    page = admin.get("/tokens")

    assert made.headers["Cache-Control"] == "no-store"
    assert "Signed in as alice" in Visitor(app, _secret(made.text)).get("/executions")
    assert "alice" in page
    assert "push_" not in page


def test_a_faulty_token_is_told_in_the_form(admin: Visitor) -> None:
    refused = admin.post("/tokens", name="No Good", role="viewer", days="7")

    assert refused.status_code == 400
    assert "cannot be a token" in refused.text


def test_rotating_shows_the_new_secret_and_revoking_asks_first(app: Flask, admin: Visitor) -> None:
    admin.post("/tokens", name="alice", role="viewer", days="0")
    question = admin.get("/tokens/alice/rotate")
    secret = _secret(admin.post("/tokens/alice/rotate").text)
    asked = admin.get("/tokens/alice/revoke")
    admin.post("/tokens/alice/revoke")

    assert "The old secret stays valid for 1 h" in question
    assert "its sessions end" in asked
    assert (
        "This token is unknown" in app.test_client().post("/sign-in", data={"token": secret}).text
    )
    assert "Revoked" in admin.get("/tokens")


def test_a_question_that_is_answered_twice_gives_one_new_secret(app: Flask, admin: Visitor) -> None:
    admin.post("/tokens", name="alice", role="viewer", days="0")
    sent = form_values(admin.get("/tokens/alice/rotate"))
    secret = _secret(admin.client.post("/tokens/alice/rotate", data=sent).text)

    again = admin.client.post("/tokens/alice/rotate", data=sent)

    assert again.status_code == 409
    assert "has another secret since this question was asked" in unescape(again.text)
    assert "push_" not in again.text
    assert "Signed in as alice" in Visitor(app, secret).get("/executions")


def test_of_many_answers_to_one_question_one_gives_a_new_secret(app: Flask, admin: Visitor) -> None:
    admin.post("/tokens", name="alice", role="viewer", days="0")
    sent = form_values(admin.get("/tokens/alice/rotate"))
    cookie = admin.client.get_cookie(COOKIE)
    assert cookie

    def answer(_: int) -> int:
        client = app.test_client()
        client.set_cookie(cookie.key, cookie.value)
        return client.post("/tokens/alice/rotate", data=sent).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(answer, range(6))) == [200] + [409] * 5


def test_a_creation_that_is_sent_twice_says_how_to_get_at_a_secret(admin: Visitor) -> None:
    form = {"name": "alice", "role": "operator", "days": "90"}
    admin.post("/tokens", **form)

    again = admin.post("/tokens", **form)
    other = admin.post("/tokens", name="alice", role="viewer", days="90")

    assert again.status_code == other.status_code == 400
    assert "You created this token" in again.text
    assert "You created this token" not in other.text


def test_others_do_not_see_it(operator: Visitor) -> None:
    assert operator.client.get("/tokens").status_code == 403
    assert operator.post("/tokens", name="x", role="admin").status_code == 403
