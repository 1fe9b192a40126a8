"""The page about devices."""

from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.people import ALICE, BOB
from tests.push_blaster.web.page_support import Visitor


def send(visitor: Visitor, then: str, text: str = "") -> Any:
    file = (BytesIO(text.encode()), "devices.csv") if text else (BytesIO(), "")
    form = {"csrf_token": visitor.csrf_token(), "then": then, "file": file}
    return visitor.client.post("/devices/import", data=form)


def test_a_users_devices_are_shown(viewer: Visitor, client: FlaskClient) -> None:
    client.post(
        "/api/devices", json={"userId": str(ALICE), "token": "t-1", "platform": "ios"}
    ).get_json()

    assert "iOS" in viewer.get(f"/devices?user={ALICE}")
    assert "cannot receive pushes" in viewer.get(f"/devices?user={BOB}")
    assert viewer.client.get("/devices?user=somebody").status_code == 400
    assert "iOS" in viewer.get("/devices")


@pytest.mark.parametrize(
    ("kind", "token", "shown"),
    [
        ("fcm", "fcm-secret-1", "…"),
        ("fid", "fid-secret-1", "…"),
        ("webhook", "https://hooks.example/T0/secret?key=secret", "https://hooks.example/…"),
        ("webhook", "https://hooks.example:8443/secret", "https://hooks.example:8443/…"),
    ],
)
def test_a_viewer_sees_that_a_device_has_a_token_and_not_the_token(
    viewer: Visitor, operator: Visitor, client: FlaskClient, kind: str, token: str, shown: str
) -> None:
    client.post("/api/devices", json={"userId": str(ALICE), "token": token, "kind": kind})
    list_of_alice = f"/api/devices?userId={ALICE}"

    page = viewer.get(f"/devices?user={ALICE}")
    (listed,) = viewer.client.get(list_of_alice).get_json()["devices"]

    assert "secret" not in page
    assert shown in page
    assert listed["token"] == shown
    (known,) = operator.client.get(list_of_alice).get_json()["devices"]
    assert known["token"] == token


def test_a_file_is_looked_at_before_it_is_registered(operator: Visitor) -> None:
    text = f"user_id,token\n{ALICE},t-1\nnobody,t-2\n"

    looked = send(operator, "look", text).text
    before = operator.get(f"/devices?user={ALICE}")
    send(operator, "import", text)

    assert "Dry run: would register 1 of 2 devices" in looked
    assert "Line 3" in looked
    assert "cannot receive pushes" in before
    assert "t-1" in operator.get(f"/devices?user={ALICE}")


def test_a_file_that_is_none_is_refused(operator: Visitor) -> None:
    assert "There must be one column token" in send(operator, "import", "a,b\n1,2\n").text
    assert "Choose a CSV file first" in send(operator, "import").text


def test_only_an_admin_forgets_the_dead(operator: Visitor, admin: Visitor) -> None:
    assert operator.post("/devices/clean-up").status_code == 403
    assert admin.post("/devices/clean-up").status_code == 303
