"""Routes about devices."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
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
        "ignored": [],
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


@pytest.mark.parametrize("offset", ["+23:00", "-16:00", "+05:30:15.123456"])
def test_a_device_of_a_list_may_have_been_seen_at_any_offset(
    client: FlaskClient, offset: str
) -> None:
    odd = {"token": "t1", "userId": str(ALICE), "lastSeenAt": f"2026-01-02T03:04:05{offset}"}

    done = register(client, devices=[odd, {"token": "t2", "userId": str(BOB)}])

    assert done.get_json()["registered"] == 2


@pytest.mark.parametrize("kind", ["apns", "apns_sandbox"])
def test_a_device_of_apple_says_its_environment_by_its_kind(client: FlaskClient, kind: str) -> None:
    token = "0aB1" * 16
    csv = f"user_id,token,kind\n{ALICE},{token},{kind}\n".encode()

    imported = client.post(
        "/api/devices/import",
        data={"file": (BytesIO(csv), "devices.csv")},
        content_type="multipart/form-data",
    )
    registered = register(client, token="c" * 64, userId=str(BOB), kind=kind)

    assert (imported.status_code, registered.status_code) == (200, 200)
    for user, expected in ((ALICE, token), (BOB, "c" * 64)):
        (device,) = client.get(f"/api/devices?userId={user}").get_json()["devices"]
        assert (device["kind"], device["token"]) == (kind, expected)


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
        (
            {"devices": [{"token": "t", "userId": str(ALICE), "lastSeenAt": "soon"}]},
            "'soon' is no instant",
        ),
        (
            {"devices": [{"token": "t", "userId": str(ALICE), "lastSeenAt": "2199-01-01"}]},
            "lies in the future",
        ),
        ({"token": "null", "userId": str(ALICE)}, "token: null is no token"),
        ({"token": "(null)", "userId": str(ALICE)}, "token: (null) is no token"),
        ({"token": "UNDEFINED", "userId": str(ALICE)}, "token: UNDEFINED is no token"),
        ({"token": "BLACKLISTED", "userId": str(ALICE)}, "token: BLACKLISTED is no token"),
        ({"token": '""', "userId": str(ALICE)}, 'token: "" is no token'),
        ({"token": "   ", "userId": str(ALICE)}, "token: Up to 2048 printable"),
        ({"token": "t", "userId": str(ALICE), "kind": "pigeon"}, "kind: Must be one of: fcm, fid"),
        ({"token": "t", "userId": [str(ALICE)]}, "userId: Not a valid UUID."),
        ({"token": "a b", "userId": str(ALICE)}, "token: Up to 2048 printable"),
        ({"token": "t" * 2_049, "userId": str(ALICE)}, "token: Up to 2048 printable"),
        ({"token": "t", "userId": str(ALICE), "appVersion": {}}, "appVersion: Up to 50"),
        ({"token": "ftp://a", "userId": str(ALICE), "kind": "webhook"}, "token: is no plain URL"),
        ({"token": "http://a", "userId": str(ALICE), "kind": "webpush"}, "use https"),
        (
            {"token": "g" * 64, "userId": str(ALICE), "kind": "apns"},
            "token: is no device token of Apple",
        ),
        (
            {"token": "ab" * 31, "userId": str(ALICE), "kind": "apns_sandbox"},
            "token: is no device token of Apple",
        ),
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


@pytest.mark.slow
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


@pytest.mark.parametrize("alices", ["2020-01-01T00:00:00Z", "2026-11-24T12:10:00Z", "never"])
@pytest.mark.parametrize("bobs", ["1970-01-01T00:00:00Z", "2099-12-31T00:00:00Z", None])
def test_a_shared_phone_belongs_to_the_user_who_registered_it_last(
    client: FlaskClient, alices: str, bobs: str | None
) -> None:
    for user, clock in ((ALICE, alices), (BOB, bobs), (ALICE, alices), (BOB, bobs)):
        answer = register(client, token="shared", userId=str(user), lastSeenAt=clock).get_json()

        assert answer["registered"] == 1
        assert "lastSeenAt: is ignored" in answer["ignored"][0]["notes"][0]
    assert client.get(f"/api/devices?userId={ALICE}").get_json()["devices"] == []


def test_two_replicas_register_one_phone_at_once_and_one_user_has_it(client: FlaskClient) -> None:
    start = Barrier(8)

    def register_from(number: int) -> int:
        own = client.application.test_client()
        own.environ_base.update(client.environ_base)
        start.wait()
        user = ALICE if number % 2 else BOB
        return int(register(own, token="shared", userId=str(user)).status_code)

    with ThreadPoolExecutor(8) as replicas:
        statuses = list(replicas.map(register_from, range(8)))

    assert statuses == [200] * 8
    owners = [client.get(f"/api/devices?userId={u}").get_json()["devices"] for u in (ALICE, BOB)]
    assert sorted(map(len, owners)) == [0, 1]


def test_an_import_wins_by_its_time_over_what_was_registered_earlier(client: FlaskClient) -> None:
    register(client, token="t", userId=str(ALICE))
    old = {"token": "t", "userId": str(BOB), "lastSeenAt": "2026-10-01T00:00:00Z"}

    stale = register(client, devices=[old]).get_json()
    fresh = register(client, devices=[{**old, "lastSeenAt": utc_now().isoformat()}]).get_json()

    assert (stale["registered"], fresh["registered"]) == (0, 1)
    register(client, token="t", userId=str(ALICE))
    assert len(client.get(f"/api/devices?userId={ALICE}").get_json()["devices"]) == 1


FULL = {
    "platform": "ios",
    "timezone": "Europe/Berlin",
    "language": "de",
    "appVersion": "1.2",
    "kind": "fid",
}


def device_of(client: FlaskClient, user_id: UUID = ALICE) -> Any:
    (device,) = client.get(f"/api/devices?userId={user_id}").get_json()["devices"]
    return {name: device[name] for name in FULL}


def test_what_is_not_sent_is_not_changed_and_null_clears(client: FlaskClient) -> None:
    register(client, token="t", userId=str(ALICE), **FULL)

    register(client, token="t", userId=str(ALICE))
    assert device_of(client) == FULL
    register(client, devices=[{"token": "t", "userId": str(BOB), "platform": None}])
    assert device_of(client, BOB) == {**FULL, "platform": None}
    register(client, token="t", userId=str(ALICE), timezone=None, language=None, appVersion="2")
    assert device_of(client) == {
        **FULL,
        "platform": None,
        "timezone": None,
        "language": None,
        "appVersion": "2",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timezone", "Mars/Base"),
        ("timezone", 7),
        ("timezone", "GMT+25"),
        ("language", "no language"),
    ],
)
def test_what_cannot_be_read_of_a_phone_is_ignored_and_told(
    client: FlaskClient, field: str, value: object
) -> None:
    register(client, token="t", userId=str(ALICE), **FULL)

    answer = register(client, token="t", userId=str(ALICE), **{field: value}).get_json()

    assert (answer["registered"], answer["refused"]) == (1, 0)
    (note,) = answer["ignored"][0]["notes"]
    assert note.startswith(f"{field}: ")
    assert "ignored" in note
    assert device_of(client) == FULL


@pytest.mark.parametrize(
    ("given", "kept"), [("de", "de"), ("pt_br", "pt-BR"), ("ZH-hant-TW", "zh-Hant-TW")]
)
def test_a_language_is_kept_as_the_standard_writes_it(
    client: FlaskClient, given: str, kept: str
) -> None:
    register(client, token="t", userId=str(ALICE), language=given)

    assert device_of(client)["language"] == kept
