"""The pages on which automations are tried out, and started from templates."""

import re
from typing import Final

from flask.testing import FlaskClient

from tests.builders import a_document
from tests.page_reader import form_value
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import a_template


def test_the_checks_and_the_four_modes_are_offered(operator: Visitor, client: FlaskClient) -> None:
    client.post("/api/automation/recipes", json=a_document(id="news"))

    page = operator.get("/automations/news/test")

    assert page.count('name="mode"') == 4
    assert "There is no audience." in page
    assert "live" not in re.findall(r'name="mode" value="([^"]+)"', page)


def test_a_test_is_started_once_and_leads_to_its_log(
    operator: Visitor, client: FlaskClient
) -> None:
    client.post("/api/automation/recipes", json=a_document(id="news"))
    form = {
        "mode": "real-dry-run",
        "once": form_value(operator.get("/automations/news/test"), "once"),
    }

    first = operator.post("/automations/news/test", **form)
    again = operator.post("/automations/news/test", **form)

    assert first.location == again.location
    assert "real-dry-run" in first.location
    assert "Dry run" in operator.get(first.location)
    assert "Dry run" in operator.get("/automations/news/test")


def test_no_form_makes_a_test_live(operator: Visitor, client: FlaskClient) -> None:
    client.post("/api/automation/recipes", json=a_document(id="news"))

    started = operator.post("/automations/news/test", mode="live", once="x")

    assert "test-dry-run" in started.location


def test_an_automation_is_started_from_a_template(admin: Visitor, client: FlaskClient) -> None:
    assert "Use this template" in admin.get("/templates")
    assert "Feature name (required)" in admin.get("/templates/feature_announcement")

    made = admin.post(
        "/templates/feature_announcement",
        name="Seed swap",
        feature_name="seed swaps",
        target_segment="power_users",
    )

    assert made.status_code == 303, made.text
    (document,) = client.get("/api/automation/recipes").get_json()["data"]
    assert (document["name"], document["status"]) == ("Seed swap", "draft")
    assert "seed swaps" in str(document["pushSequence"])


NEW: Final = {"feature_name": "seed swaps", "target_segment": "power_users"}
NEW_PATH: Final = "/templates/feature_announcement"


def test_a_form_of_a_template_sent_twice_creates_one_draft(
    admin: Visitor, client: FlaskClient
) -> None:
    form = {**NEW, "once": form_value(admin.get(NEW_PATH), "once")}

    first, again = admin.post(NEW_PATH, **form), admin.post(NEW_PATH, **form)

    assert first.status_code == again.status_code == 303, first.text + again.text
    assert first.location == again.location
    assert len(client.get("/api/automation/recipes").get_json()["data"]) == 1


def test_a_form_of_a_template_changed_and_sent_again_creates_another_draft(
    admin: Visitor, client: FlaskClient
) -> None:
    form = {**NEW, "once": form_value(admin.get(NEW_PATH), "once")}

    first, other = admin.post(NEW_PATH, **form), admin.post(NEW_PATH, **form, name="Another")

    assert first.location != other.location
    assert len(client.get("/api/automation/recipes").get_json()["data"]) == 2


def test_a_form_of_a_template_that_is_opened_again_creates_another_draft(
    admin: Visitor, client: FlaskClient
) -> None:
    forms = [{**NEW, "once": form_value(admin.get(NEW_PATH), "once")} for _ in range(2)]

    first, other = (admin.post(NEW_PATH, **form) for form in forms)

    assert first.location != other.location
    assert len(client.get("/api/automation/recipes").get_json()["data"]) == 2


def test_a_form_of_a_template_that_was_refused_can_be_corrected_and_sent_twice(
    admin: Visitor, client: FlaskClient
) -> None:
    refused = admin.post(NEW_PATH, once=form_value(admin.get(NEW_PATH), "once"))
    form = {**NEW, "once": form_value(refused.text, "once")}

    first, again = admin.post(NEW_PATH, **form), admin.post(NEW_PATH, **form)

    assert (refused.status_code, first.status_code) == (400, 303)
    assert first.location == again.location
    assert len(client.get("/api/automation/recipes").get_json()["data"]) == 1


def test_a_variable_may_be_named_as_the_hidden_field_is(
    admin: Visitor, client: FlaskClient
) -> None:
    push = {"titleTemplate": "Only {{once}}", "bodyTemplate": "Hi"}
    variable = {"name": "once", "type": "string", "required": True}
    template = a_template(variables=[variable], pushTemplates=[push])
    assert client.post("/api/automation/templates", json=template).status_code == 201
    hidden = form_value(admin.get("/templates/spring"), "once")
    form = {"csrf_token": admin.csrf_token(), "once": [hidden, "today"]}

    made = [admin.client.post("/templates/spring", data=form) for _ in range(2)]

    assert made[0].location == made[1].location
    (document,) = client.get("/api/automation/recipes").get_json()["data"]
    assert document["pushSequence"][0]["title"] == "Only today"


def test_what_a_template_lacks_is_said_beside_its_field(
    admin: Visitor, client: FlaskClient
) -> None:
    refused = admin.post("/templates/feature_announcement", name="Seed swap")

    assert refused.status_code == 400
    assert '<p class="fault" id="feature_name-said">Missing.' in refused.text
    assert 'value="Seed swap"' in refused.text
    assert client.get("/api/automation/recipes").get_json()["data"] == []
