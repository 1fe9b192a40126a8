"""Forms that are sent without a session lead through sign-in, and come back whole."""

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.http.request_classes import MAX_BUFFERED
from chassis.postgres import Database
from chassis.rows import execute, fetch_all
from push_blaster.adapters.access.unsent_form_table import MAX_KEPT
from push_blaster.web.access.session import COOKIE
from push_blaster.web.frame.drafts import DRAFT_FIELD
from tests.fakes.identity_provider import FakeProvider, anna
from tests.page_reader import form_values
from tests.push_blaster.web.access.people_support import PersonVisitor
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

EDIT = "/automations/news/edit"
TYPED = "Typed for an hour"


@pytest.fixture
def form(admin: Visitor, client: FlaskClient) -> dict[str, Any]:
    """The form of an automation with something typed into it."""
    create(client, id="news", name="News")
    return {**form_values(admin.get(EDIT), "editor"), "name": TYPED}


def end_session(database: Database) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM sessions")


def kept_rows(database: Database) -> int:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM unsent_forms")
        (count,) = cursor.fetchone() or (0,)
        return int(count)


def saved_name(client: FlaskClient) -> str:
    name: str = client.get("/api/automation/recipes/news").get_json()["data"]["name"]
    return name


def test_a_form_of_an_ended_session_comes_back_after_sign_in_with_all_that_was_typed(
    admin: Visitor,
    client: FlaskClient,
    form: dict[str, Any],
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    end_session(database)
    with caplog.at_level(logging.DEBUG):
        sent = admin.client.post(EDIT, data=form)
        signed_in = admin.client.post(sent.location, data={"token": "admin"})
        asked = admin.get(signed_in.location)
    back = admin.client.post(EDIT, data=form_values(asked, "again"))
    kept = form_values(back.text, "editor")

    with database.transaction() as connection:
        (row,) = fetch_all(connection, "SELECT u::text FROM unsent_forms u")
    assert sent.location.startswith("/sign-in?next=/unsent/")
    assert TYPED not in str(row)
    assert TYPED not in unquote(sent.location) + caplog.text
    assert "Nothing is saved yet" in back.text
    fresh = {"csrf_token", "draft-form"}
    assert {n: v for n, v in kept.items() if n not in fresh} == {
        n: v if isinstance(v, list) else [v] for n, v in form.items() if n not in fresh
    }
    assert saved_name(client) == "News"
    assert admin.client.post(EDIT, data=kept).status_code == 303
    assert saved_name(client) == TYPED


def test_a_sign_out_without_a_session_is_no_form_to_send_later(
    admin: Visitor, form: dict[str, Any], database: Database
) -> None:
    end_session(database)

    left = admin.client.post("/sign-out", data={"csrf_token": form["csrf_token"]})

    with database.transaction() as connection:
        assert fetch_all(connection, "SELECT 1 FROM unsent_forms") == []
    assert "/unsent/" not in left.location


def test_nobody_else_gets_the_form(
    admin: Visitor, form: dict[str, Any], database: Database, client: FlaskClient
) -> None:
    end_session(database)
    sent = admin.client.post(EDIT, data=form)

    page = admin.client.post(sent.location, data={"token": "operator"}).location
    refused = admin.client.get(page)
    to_owner = admin.client.post("/sign-out", data=form_values(refused.text, "again"))
    admin.client.post(to_owner.location, data={"token": "admin"})

    assert refused.status_code == 403
    assert TYPED not in refused.text
    assert TYPED in admin.get(page)


def test_a_form_is_given_back_under_the_new_name_of_its_person_and_to_nobody_else(
    people_app: Flask, provider: FakeProvider, database: Database
) -> None:
    first, renamed, other = (PersonVisitor(people_app) for _ in range(3))
    first.sign_in()
    sent = {"title": TYPED, "csrf_token": first.csrf_token(), DRAFT_FIELD: ""}
    end_session(database)
    kept = unquote(first.client.post("/send", data=sent).location.partition("next=")[2])

    provider.who = anna(name="Anna Miller", email="miller@example.com")
    renamed.sign_in()
    provider.who = anna(sub="b-1", name="Anna")
    other.sign_in()
    given, refused = renamed.client.get(kept), other.client.get(kept)

    assert renamed.name().startswith("Anna Miller")
    assert (given.status_code, refused.status_code) == (200, 403)
    assert TYPED in given.text
    assert TYPED not in refused.text
    assert "Anna Miller" in refused.text


def test_a_form_that_was_kept_under_a_name_before_an_upgrade_comes_back(
    admin: Visitor, database: Database, form: dict[str, Any]
) -> None:
    end_session(database)
    kept = unquote(admin.client.post(EDIT, data=form).location.partition("next=")[2])
    with database.transaction() as connection:
        execute(connection, "UPDATE unsent_forms SET caller = 'admin'")
    admin.post_bare("/sign-in", token="admin")

    assert TYPED in admin.get(kept)


def test_a_form_of_another_person_who_was_signed_in_before_is_kept_for_that_person(
    admin: Visitor, form: dict[str, Any], client: FlaskClient
) -> None:
    admin.post_bare("/sign-in", token="operator")

    sent = admin.client.post(EDIT, data=form)

    assert sent.status_code == 303
    assert admin.client.get(sent.location).status_code == 403
    admin.post_bare("/sign-in", token="admin")
    assert TYPED in admin.get(sent.location)
    assert saved_name(client) == "News"


def test_a_second_sign_in_of_the_same_person_spoils_no_open_form(
    admin: Visitor, form: dict[str, Any], client: FlaskClient
) -> None:
    admin.post_bare("/sign-in", token="admin")

    assert admin.client.post(EDIT, data=form).status_code == 303
    assert saved_name(client) == TYPED


def test_a_form_that_is_older_than_any_session_is_shown_again(
    admin: Visitor, form: dict[str, Any]
) -> None:
    with time_machine.travel(utc_now() + timedelta(days=8)):
        admin.post_bare("/sign-in", token="admin")
        sent = admin.client.post(EDIT, data=form)

        assert TYPED in admin.get(sent.location)


def test_what_is_no_form_for_editing_is_sent_once_it_is_confirmed(
    admin: Visitor, database: Database
) -> None:
    form = {**form_values(admin.get("/tokens")), "name": "ann"}
    end_session(database)

    sent = admin.client.post("/tokens", data=form)
    asked = admin.get(admin.client.post(sent.location, data={"token": "admin"}).location)

    assert "<td>ann</td>" in asked
    assert "ann" not in admin.get("/tokens")
    assert "secret of <b>ann</b>" in admin.client.post("/tokens", data=form_values(asked)).text


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/automations/new", "name"),
        ("/send", "title"),
        ("/scripts/waterers", "days"),
        ("/templates/onboarding_funnel", "name"),
    ],
)
def test_every_form_for_editing_can_be_shown_again(
    admin: Visitor, database: Database, tmp_path: Any, path: str, name: str
) -> None:
    (tmp_path / "scripts").mkdir(exist_ok=True)
    (tmp_path / "scripts" / "waterers.py").write_text('"""\nparameter days (integer): How far\n"""')
    form = {**form_values(admin.get(path)), name: TYPED}
    end_session(database)

    sent = admin.client.post(path, data=form)
    asked = admin.get(admin.client.post(sent.location, data={"token": "admin"}).location)
    back = admin.client.post(path, data=form_values(asked, "again")).text

    assert form_values(back)[name] == [TYPED]
    assert "Nothing is saved yet" in back


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        ({"csrf_token": "made up"}, {}),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ({}, {"Sec-Fetch-Mode": "cors"}),
        ({"description": "x" * MAX_BUFFERED}, {}),
    ],
)
def test_strangers_other_sites_scripts_and_huge_forms_leave_nothing(
    admin: Visitor,
    form: dict[str, Any],
    database: Database,
    changes: dict[str, str],
    headers: dict[str, str],
) -> None:
    admin.client.delete_cookie(COOKIE)

    sent = admin.client.post(EDIT, data={**form, **changes}, headers=headers)

    assert sent.location == f"/sign-in?next={EDIT}"
    assert kept_rows(database) == 0


def test_a_person_has_few_kept_forms_and_none_after_a_week(
    admin: Visitor, form: dict[str, Any], database: Database
) -> None:
    end_session(database)
    sent = [admin.client.post(EDIT, data=form).location for _ in range(MAX_KEPT + 2)]
    admin.client.post(sent[-1], data={"token": "admin"})

    assert kept_rows(database) == MAX_KEPT
    newest = unquote(sent[-1].partition("next=")[2])
    assert admin.client.get(newest).status_code == 200
    with time_machine.travel(utc_now() + timedelta(days=8)):
        admin.post_bare("/sign-in", token="admin")
        assert admin.client.get(newest).status_code == 404
        admin.client.delete_cookie(COOKIE)
        admin.client.post(EDIT, data=form)
        assert kept_rows(database) == 1
