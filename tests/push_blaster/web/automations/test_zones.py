"""Zones are searched in the form, and a name that is none is answered with the nearest."""

import pytest
from flask.testing import FlaskClient

from tests.builders import a_document
from tests.people import ALICE
from tests.push_blaster.web.page_support import Visitor


def test_the_form_offers_every_zone_while_one_types(admin: Visitor) -> None:
    page = admin.get("/automations/new")

    assert '<option value="Europe/Berlin">' in page
    assert page.count('list="zones"') == 2
    assert page.count('<datalist id="zones">') == 1


@pytest.mark.parametrize(
    ("written", "near"), [("berlin", "Europe/Berlin"), ("Tokio", "Asia/Tokyo")]
)
def test_the_form_and_the_api_answer_with_the_nearest(
    admin: Visitor, client: FlaskClient, written: str, near: str
) -> None:
    form = admin.save("/automations/new", name="News", **{"schedule.timezone": written})
    document = a_document()
    document["schedule"]["timezone"] = written
    api = client.post("/api/automation/recipes", json=document)
    device = {"userId": str(ALICE), "token": "t", "timezone": written}
    registered = client.post("/api/devices", json=device)

    assert [form.status_code, api.status_code, registered.status_code] == [400, 400, 200]
    for answer in (form, api, registered):
        assert f"did you mean {near}" in answer.text
