"""The pages on which automations are tried out, and started from templates."""

import re

from flask.testing import FlaskClient

from tests.builders import a_document
from tests.page_reader import form_value
from tests.push_blaster.web.page_support import Visitor


def test_the_checks_and_the_four_modes_are_offered(operator: Visitor, client: FlaskClient) -> None:
    client.post("/api/automation/recipes", json=a_document(id="news"))

    page = operator.get("/automations/news/test")

    assert page.count('name="mode"') == 4
    assert "there is no audience" in page
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


def test_what_a_template_lacks_is_said_beside_its_field(
    admin: Visitor, client: FlaskClient
) -> None:
    refused = admin.post("/templates/feature_announcement", name="Seed swap")

    assert refused.status_code == 400
    assert '<p class="fault" id="feature_name-said">Missing.' in refused.text
    assert 'value="Seed swap"' in refused.text
    assert client.get("/api/automation/recipes").get_json()["data"] == []
