"""Routes about devices."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from push_blaster.adapters.device_table import mark_tokens_dead, select_newest_tokens
from tests.builders import NOON
from tests.people import ALICE, BOB


def register(client: FlaskClient, **body: Any) -> Any:
    return client.post("/api/devices", json=body)


def test_a_device_is_registered_listed_and_forgotten(client: FlaskClient) -> None:
    assert register(client, token="t1", userId=str(ALICE), platform="ios").get_json() == {
        "registered": 1
    }

    (device,) = client.get(f"/api/devices?userId={ALICE}").get_json()["devices"]
    assert (device["token"], device["kind"], device["platform"], device["deadAt"]) == (
        "t1",
        "fcm",
        "ios",
        None,
    )
    assert client.delete("/api/devices/t1").status_code == 204
    assert client.delete("/api/devices/t1").status_code == 404


def test_a_token_moves_with_its_phone(client: FlaskClient) -> None:
    register(client, token="t1", userId=str(ALICE))

    register(client, devices=[{"token": "t1", "userId": str(BOB)}])

    assert client.get(f"/api/devices?userId={ALICE}").get_json()["devices"] == []
    assert len(client.get(f"/api/devices?userId={BOB}").get_json()["devices"]) == 1


def test_the_device_seen_last_is_reached_and_dead_ones_never(
    client: FlaskClient, database: Database
) -> None:
    for token in ("old", "new"):
        register(client, token=token, userId=str(ALICE))

    with database.transaction() as connection:
        newest = select_newest_tokens(connection, [ALICE, BOB])
        mark_tokens_dead(connection, {"new": "404 UNREGISTERED"}, NOON)
        after = select_newest_tokens(connection, [ALICE, BOB])
        mark_tokens_dead(connection, {"old": "404 UNREGISTERED"}, NOON)
        nobody = select_newest_tokens(connection, [ALICE, BOB])

    assert (newest, after, nobody) == ({ALICE: "new"}, {ALICE: "old"}, {})
    (first, _) = client.get(f"/api/devices?userId={ALICE}").get_json()["devices"]
    assert first["deadReason"] == "404 UNREGISTERED"


def test_a_dead_token_that_is_registered_again_lives(
    client: FlaskClient, database: Database
) -> None:
    register(client, token="t1", userId=str(ALICE))
    with database.transaction() as connection:
        mark_tokens_dead(connection, {"t1": "404"}, NOON)

    register(client, token="t1", userId=str(ALICE))

    assert client.get(f"/api/devices?userId={ALICE}").get_json()["devices"][0]["deadAt"] is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "userId: Missing data"),
        ({"token": "t"}, "userId: Missing data"),
        ({"token": "t", "userId": "x"}, "userId: Not a valid UUID."),
        ({"token": "", "userId": str(ALICE)}, "token: "),
        ({"devices": []}, "devices: "),
        ({"devices": [{"token": "t"}]}, "devices[0].userId: Missing data"),
        ({"token": "t", "userId": str(ALICE), "kind": "pigeon"}, "kind: "),
    ],
)
def test_what_does_not_fit_is_named(client: FlaskClient, body: dict[str, Any], said: str) -> None:
    response = register(client, **body)

    assert response.status_code == 400
    assert said in response.get_json()["error"]


def test_whose_devices_has_to_be_said(client: FlaskClient) -> None:
    assert "userId" in client.get("/api/devices").get_json()["error"]
