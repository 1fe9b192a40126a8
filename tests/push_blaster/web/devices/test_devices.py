"""Routes about devices."""

from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Connection, Database
from push_blaster.adapters.devices.device_table import mark_devices_dead, select_addresses
from tests.builders import NOON, died
from tests.fakes.browser import Browser
from tests.people import ALICE, BOB


def register(client: FlaskClient, **body: Any) -> Any:
    return client.post("/api/devices", json=body)


def tokens_of(connection: Connection) -> dict[UUID, str]:
    found = select_addresses(connection, [ALICE, BOB], every=False)
    return {user_id: newest.token for user_id, (newest,) in found.items()}


def test_a_device_is_registered_listed_and_forgotten(client: FlaskClient) -> None:
    assert register(client, token="t1", userId=str(ALICE), platform="ios").get_json() == {
        "registered": 1,
        "unchanged": 0,
        "refused": 0,
        "errors": [],
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
        newest = tokens_of(connection)
        mark_devices_dead(connection, [died("new", "404 UNREGISTERED")], NOON)
        after = tokens_of(connection)
        mark_devices_dead(connection, [died("old", "404 UNREGISTERED")], NOON)
        nobody = tokens_of(connection)

    assert (newest, after, nobody) == ({ALICE: "new"}, {ALICE: "old"}, {})
    (first, _) = client.get(f"/api/devices?userId={ALICE}").get_json()["devices"]
    assert first["deadReason"] == "404 UNREGISTERED"


def test_a_dead_token_that_is_registered_again_lives(
    client: FlaskClient, database: Database
) -> None:
    register(client, token="t1", userId=str(ALICE))
    with database.transaction() as connection:
        mark_devices_dead(connection, [died("t1", "404")], NOON)

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
        ({"devices": ["t"]}, "devices[0].device: is no JSON object"),
        ({"token": "t", "userId": str(ALICE), "kind": "pigeon"}, "kind: Must be one of: fcm, fid"),
        ({"token": "t", "userId": [str(ALICE)]}, "userId: Not a valid UUID."),
        ({"token": "a b", "userId": str(ALICE)}, "token: Up to 2048 printable"),
        ({"token": "t" * 2_049, "userId": str(ALICE)}, "token: Up to 2048 printable"),
        ({"token": "t", "userId": str(ALICE), "timezone": "Mars/Base"}, "'Mars/Base' is no time"),
        ({"token": "t", "userId": str(ALICE), "appVersion": {}}, "appVersion: Up to 50"),
        ({"token": "t", "userId": str(ALICE), "lastSeenAt": "soon"}, "'soon' is no instant"),
        ({"token": "t", "userId": str(ALICE), "lastSeenAt": "2199-01-01"}, "lies in the future"),
        ({"token": "ftp://a", "userId": str(ALICE), "kind": "webhook"}, "token: is no plain URL"),
        ({"token": "http://a", "userId": str(ALICE), "kind": "webpush"}, "use https"),
        (
            {"token": "https://push.example.com/a", "userId": str(ALICE), "kind": "webpush"},
            "token: leads to push.example.com, which is none of the push services (WEBPUSH_HOSTS)",
        ),
        (
            {"token": "https://web.push.apple.com/a", "userId": str(ALICE), "kind": "webpush"},
            "keys: A web push",
        ),
        (
            {
                "token": "https://web.push.apple.com/a",
                "userId": str(ALICE),
                "kind": "webpush",
                "keys": {"p256dh": "AAAA", "auth": "AAAAAAAAAAAAAAAAAAAAAA"},
            },
            "keys: p256dh is no point",
        ),
    ],
)
def test_what_does_not_fit_is_named(client: FlaskClient, body: dict[str, Any], said: str) -> None:
    response = register(client, **body)

    assert response.status_code == 400
    assert said in response.get_json()["error"]


def test_a_list_is_registered_but_for_its_bad_rows_which_are_told_by_index(
    client: FlaskClient,
) -> None:
    good = [{"token": f"t{n}", "userId": str(ALICE)} for n in range(3)]
    bad = [{"token": "x"}, {"token": "", "userId": "y"}]

    answer = register(client, devices=[good[0], bad[0], good[1], bad[1], good[2]]).get_json()

    assert (answer["registered"], answer["refused"]) == (3, 2)
    assert answer["errors"] == [
        {"index": 1, "errors": ["userId: Missing data for required field."]},
        {
            "index": 3,
            "errors": ["token: Missing data for required field.", "userId: Not a valid UUID."],
        },
    ]
    assert len(client.get(f"/api/devices?userId={ALICE}").get_json()["devices"]) == 3


def test_ten_thousand_devices_are_taken_at_once_and_no_more(client: FlaskClient) -> None:
    rows = [{"token": f"t{n}", "userId": str(ALICE)} for n in range(10_001)]

    assert register(client, devices=rows[:10_000]).get_json()["registered"] == 10_000
    assert register(client, devices=rows).status_code == 400


def test_a_browser_registers_its_subscription_as_it_has_it(client: FlaskClient) -> None:
    endpoint = "https://fcm.googleapis.com/fcm/send/abc:def"
    subscription = {"endpoint": endpoint, "expirationTime": None, "keys": Browser().keys}

    register(client, userId=str(ALICE), subscription=subscription, timezone="Europe/Berlin")

    (device,) = client.get(f"/api/devices?userId={ALICE}").get_json()["devices"]
    assert (device["kind"], device["token"]) == ("webpush", endpoint)
    assert device["timezone"] == "Europe/Berlin"
    assert "keys" not in device


def test_devices_are_listed_by_kind_and_by_life(client: FlaskClient, database: Database) -> None:
    register(client, token="a", userId=str(ALICE))
    register(client, token="b", userId=str(ALICE), kind="fid")
    register(client, token="https://hook.test/c", userId=str(ALICE), kind="webhook")
    with database.transaction() as connection:
        mark_devices_dead(connection, [died("a", "404")], NOON)

    def listed(query: str) -> list[str]:
        answer = client.get(f"/api/devices?userId={ALICE}&{query}").get_json()
        return sorted(device["kind"] for device in answer["devices"])

    assert listed("kind=webhook") == ["webhook"]
    assert listed("dead=true") == ["fcm"]
    assert listed("dead=false") == ["fid", "webhook"]
    assert listed("dead=true&kind=fid") == []


def test_a_device_is_forgotten_by_its_token_and_a_user_with_all(client: FlaskClient) -> None:
    url = "https://hook.test/a//b?c=d&e"
    register(client, token=url, userId=str(ALICE), kind="webhook")
    register(client, devices=[{"token": f"t{n}", "userId": str(BOB)} for n in range(3)])

    def forget(**query: str) -> Any:
        return client.delete("/api/devices", query_string=query).get_json()

    assert forget(token=url) == {"deleted": 1}
    assert forget(token=url) == {"deleted": 0}
    assert forget(userId=str(BOB)) == {"deleted": 3}
    assert "not both" in forget()["error"]
    assert "not both" in forget(token="t", userId=str(BOB))["error"]


def test_what_was_seen_earlier_changes_nothing(client: FlaskClient, database: Database) -> None:
    register(client, token="moved", userId=str(ALICE), lastSeenAt="2026-10-02T00:00:00Z")
    register(client, token="died", userId=str(ALICE), lastSeenAt="2026-10-02T00:00:00Z")
    with database.transaction() as connection:
        mark_devices_dead(connection, [died("died", "404")], NOON)
    old = {"userId": str(BOB), "lastSeenAt": "2026-10-01T00:00:00Z"}
    before_death = {"userId": str(BOB), "lastSeenAt": "2026-10-03T00:00:00Z"}

    answer = register(
        client, devices=[{"token": "moved", **old}, {"token": "died", **before_death}]
    ).get_json()

    assert (answer["registered"], answer["unchanged"]) == (0, 2)
    assert client.get(f"/api/devices?userId={BOB}").get_json()["devices"] == []


def test_of_a_token_that_comes_twice_what_was_seen_last_counts(client: FlaskClient) -> None:
    rows = [
        {"token": "t", "userId": str(ALICE), "lastSeenAt": "2026-10-02T00:00:00Z"},
        {"token": "t", "userId": str(BOB), "lastSeenAt": "2026-10-01T00:00:00Z"},
    ]

    assert register(client, devices=rows).get_json()["registered"] == 1
    assert len(client.get(f"/api/devices?userId={ALICE}").get_json()["devices"]) == 1


def test_whose_devices_has_to_be_said(client: FlaskClient) -> None:
    assert "userId" in client.get("/api/devices").get_json()["error"]
