"""Apps in the hands of users: what identity tokens reach, of whom, how often, and from where."""

import gzip
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.http.bodies import MAX_OF_STRANGERS
from chassis.postgres import Database
from push_blaster.app import create_app
from push_blaster.web.access.audit import OF_USER as RECORDED_OF_USER
from push_blaster.web.access.identity_callers import OF_USER
from push_blaster.wiring import connect_adapters
from tests.fakes.browser import Browser
from tests.people import ALICE, BOB
from tests.push_blaster.identity import app_of, identity_token, with_token
from tests.push_blaster.settings import OLD_IDENTITY_KEY, SHOP, settings_for

FOREIGN = "https://evil.test"


@pytest.fixture
def alice(app: Flask) -> FlaskClient:
    return app_of(app, ALICE)


@pytest.fixture
def bob(app: Flask) -> FlaskClient:
    return app_of(app, BOB)


@pytest.fixture
def backend(client: FlaskClient, app: Flask) -> FlaskClient:
    """A customer's backend, with a token of role app from the database."""
    made = client.post("/api/tokens", json={"name": f"shop-{uuid4()}", "role": "app"})
    return with_token(app, made.get_json()["token"])


def devices_of(client: FlaskClient, user: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/devices?userId={user}").get_json()["devices"]
    return found


def owners(client: FlaskClient, token: str) -> list[object]:
    return [u for u in (ALICE, BOB) if token in [d["token"] for d in devices_of(client, u)]]


def changes(client: FlaskClient, after: int = 0) -> list[dict[str, Any]]:
    """Return what the audit log recorded after the entry with this id, the newest first."""
    found: list[dict[str, Any]] = client.get("/api/audit-log?limit=500").get_json()["changes"]
    return [one for one in found if one["id"] > after]


def newest(client: FlaskClient) -> int:
    """Return the id of the last entry of the audit log."""
    return max((one["id"] for one in changes(client)), default=0)


def test_a_phone_registers_changes_and_forgets_its_own_device(
    client: FlaskClient, alice: FlaskClient
) -> None:
    alice.post("/api/devices", json={"token": "t1", "language": "de", "timezone": "Europe/Vienna"})
    alice.post("/api/devices", json={"token": "t1", "userId": str(ALICE), "language": "fr"})

    (device,) = devices_of(client, ALICE)
    assert (device["language"], device["timezone"]) == ("fr", "Europe/Vienna")
    assert alice.delete("/api/devices?token=t1").get_json() == {"deleted": 1}
    assert alice.delete("/api/devices?token=t1").get_json() == {"deleted": 0}
    assert devices_of(client, ALICE) == []


def test_the_key_of_a_request_is_each_users_own(
    client: FlaskClient, alice: FlaskClient, bob: FlaskClient
) -> None:
    key = {"Idempotency-Key": "phone-1"}

    def register(phone: FlaskClient, token: str) -> int:
        return phone.post("/api/devices", json={"token": token}, headers=key).status_code

    first = [register(alice, "t1"), register(bob, "t2"), register(client, "t3")]

    assert first == [200, 200, 400]  # the operator has to name the user
    assert (owners(client, "t1"), owners(client, "t2")) == ([ALICE], [BOB])
    assert [register(phone, "other") for phone in (alice, bob)] == [422, 422]
    assert owners(client, "other") == []


def test_a_browser_registers_its_subscription(client: FlaskClient, alice: FlaskClient) -> None:
    endpoint = "https://fcm.googleapis.com/fcm/send/x"
    subscription = {"endpoint": endpoint, "keys": Browser().keys}

    alice.post("/api/devices", json={"subscription": subscription})

    assert [device["kind"] for device in devices_of(client, ALICE)] == ["webpush"]


def test_a_user_sees_no_words_or_name_of_an_operator(
    client: FlaskClient, alice: FlaskClient
) -> None:
    words = {"userId": str(ALICE), "reason": "a difficult customer"}
    client.post("/api/opt-outs", json={**words, "scope": "all"})
    alice.post("/api/opt-outs", json={"scope": "layer", "layerId": 3, "reason": "too many"})

    seen, kept = (who.get(f"/api/opt-outs?userId={ALICE}") for who in (alice, client))

    assert [(one["scope"], one["reason"], one["setBy"]) for one in seen.get_json()["optOuts"]] == [
        ("all", "", ""),
        ("layer", "too many", ""),
    ]
    by_operator = kept.get_json()["optOuts"][0]
    assert (by_operator["reason"], bool(by_operator["setBy"])) == ("a difficult customer", True)


def test_a_user_sets_reads_and_ends_the_own_opt_outs(
    client: FlaskClient, alice: FlaskClient
) -> None:
    client.post("/api/opt-outs", json={"userId": str(BOB)})

    set_ = alice.post("/api/opt-outs", json={"scope": "layer", "layerId": 2})
    alice.post("/api/opt-outs", json={"userId": str(ALICE).upper(), "reason": "too many"})

    assert (set_.get_json()["userId"], set_.get_json()["source"]) == (str(ALICE), "app")
    assert {one["userId"] for one in alice.get("/api/opt-outs").get_json()["optOuts"]} == {
        str(ALICE)
    }
    assert alice.delete("/api/opt-outs?layerId=2").get_json() == {"deleted": 1}
    assert alice.delete(f"/api/opt-outs?userId={ALICE}").get_json() == {"deleted": 1}
    assert len(client.get("/api/opt-outs").get_json()["optOuts"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/devices", {"token": "t1", "userId": str(BOB)}),
        ("DELETE", f"/api/devices?userId={BOB}", None),
        ("GET", f"/api/opt-outs?userId={BOB}", None),
        ("POST", "/api/opt-outs", {"userId": str(BOB)}),
        ("DELETE", f"/api/opt-outs?userId={BOB}", None),
        ("DELETE", f"/api/opt-outs?userId={BOB}&scope=all", None),
    ],
)
def test_nothing_of_another_user_is_reached(
    client: FlaskClient, alice: FlaskClient, method: str, path: str, body: object
) -> None:
    client.post("/api/devices", json={"token": "bobs", "userId": str(BOB)})
    client.post("/api/opt-outs", json={"userId": str(BOB), "reason": "his"})

    refused = alice.open(path, method=method, json=body)

    assert (refused.status_code, refused.get_json()["detail"][:7]) == (403, "userId:")
    assert [device["token"] for device in devices_of(client, BOB)] == ["bobs"]
    assert [o["reason"] for o in client.get("/api/opt-outs").get_json()["optOuts"]] == ["his"]


def test_a_late_sign_out_leaves_the_device_with_the_next_user(
    client: FlaskClient, alice: FlaskClient, bob: FlaskClient
) -> None:
    alice.post("/api/devices", json={"token": "t1"})
    bob.post("/api/devices", json={"token": "t1"})

    late = alice.delete("/api/devices?token=t1")
    by_path = alice.delete("/api/devices/t1")

    assert (late.status_code, late.get_json(), by_path.status_code) == (200, {"deleted": 0}, 404)
    assert owners(client, "t1") == [BOB]
    assert bob.delete("/api/devices/t1").status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"devices": [{"token": "t1", "userId": str(ALICE)}]}, "devices:"),
        ({"token": "https://evil.test/x", "kind": "webhook"}, "kind:"),
        ({"token": "t1", "kind": "file"}, "kind:"),
    ],
)
def test_a_phone_registers_neither_lists_nor_addresses_of_its_choice(
    alice: FlaskClient, body: object, field: str
) -> None:
    refused = alice.post("/api/devices", json=body)

    assert (refused.status_code, refused.get_json()["detail"].split()[0]) == (403, field)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": utc_now() - timedelta(minutes=5)}, "has expired"),
        ({"exp": utc_now() + timedelta(hours=3)}, "valid for too long"),
        ({"exp": None}, "no expiry"),
        ({"nbf": utc_now() + timedelta(hours=1)}, "not yet valid"),
        ({"sub": "alice"}, "names no user id"),
        ({"sub": None}, "names no user:"),
        ({"key": "somebody else's key of identity tokens"}, "not signed with a key"),
    ],
)
def test_a_token_that_is_not_valid_is_refused_in_its_own_words(
    app: Flask, claims: dict[str, Any], said: str
) -> None:
    refused = with_token(app, identity_token(ALICE, **claims)).get("/api/opt-outs")

    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (
        401,
        "Bearer error=invalid_token",
    )
    assert said in refused.get_json()["detail"]


def test_a_token_of_the_key_before_a_rotation_is_valid(app: Flask) -> None:
    token = identity_token(ALICE, key=OLD_IDENTITY_KEY)

    assert with_token(app, token).get("/api/opt-outs").status_code == 200


def test_without_a_key_a_backend_needs_a_token_of_role_app(
    push_url: str, database: Database, tmp_path: Path
) -> None:
    settings = replace(settings_for(push_url, tmp_path), identity_keys=())
    app = create_app(settings, replace(connect_adapters(settings), database=database))

    refused = app_of(app, ALICE).post("/api/devices", json={"token": "t1"})

    assert refused.status_code == 401
    assert "token of the role app" in refused.get_json()["detail"]
    body = {"token": "t1", "userId": str(ALICE)}
    assert with_token(app, "app").post("/api/devices", json=body).status_code == 200


def test_a_token_of_role_app_serves_all_users_and_reads_none(backend: FlaskClient) -> None:
    answers = [
        backend.post("/api/devices", json={"token": "t1", "userId": str(ALICE)}),
        backend.post("/api/devices", json={"devices": [{"token": "t2", "userId": str(BOB)}]}),
        backend.post("/api/opt-outs", json={"userId": str(BOB)}),
        backend.delete(f"/api/opt-outs?userId={BOB}"),
        backend.delete("/api/devices?token=t2"),
    ]
    refused = [
        backend.get(f"/api/devices?userId={ALICE}"),
        backend.get("/api/opt-outs"),
        backend.post("/api/opt-outs", json={}),
    ]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert [answer.status_code for answer in refused] == [403, 403, 400]


def test_a_token_of_role_app_opens_no_page(app: Flask, backend: FlaskClient) -> None:
    token = backend.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    signed_in = [
        app.test_client().post("/sign-in", data={"token": one})
        for one in (token, "app", identity_token(ALICE))
    ]

    assert [answer.status_code for answer in signed_in] == [401] * 3
    assert backend.get("/metrics").status_code == 403
    assert backend.get("/health").get_json().keys() == {"status"}


def test_too_many_requests_of_a_user_wait_and_other_users_do_not(app: Flask) -> None:
    hasty, other = app_of(app, uuid4()), app_of(app, uuid4())

    answers = [hasty.get("/api/opt-outs") for _ in range(OF_USER.requests + 20)]

    assert {answer.status_code for answer in answers} == {200, 429}
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert other.get("/api/opt-outs").status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/devices", "/api/executions", f"/api/opt-outs?userId={BOB}", "/tokens"]
)
def test_what_a_user_may_not_have_counts_too(app: Flask, path: str) -> None:
    curious = app_of(app, uuid4())
    origin = {} if path.startswith("/tokens") else {"Origin": FOREIGN}

    answers = [curious.get(path, headers=origin) for _ in range(OF_USER.requests + 20)]

    assert {answer.status_code for answer in answers} == {403, 429}
    assert answers[-1].status_code == 429


def test_a_phone_sends_no_large_and_no_packed_body(alice: FlaskClient) -> None:
    headers = {"Content-Type": "application/json"}
    large = alice.post("/api/devices", data=b"[" * (MAX_OF_STRANGERS + 1), headers=headers)
    packed = alice.post(
        "/api/devices", data=gzip.compress(b"{}"), headers={**headers, "Content-Encoding": "gzip"}
    )

    assert (large.status_code, packed.status_code) == (413, 415)


def test_a_page_of_an_allowed_origin_may_call_and_read(alice: FlaskClient) -> None:
    asked = alice.options(
        "/api/devices",
        headers={
            "Origin": SHOP,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    called = alice.post("/api/devices", json={"token": "t1"}, headers={"Origin": SHOP})
    refused = alice.post("/api/devices", json={}, headers={"Origin": SHOP})

    assert (asked.status_code, asked.headers["Access-Control-Allow-Methods"]) == (204, "POST")
    assert asked.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    for answer in (asked, called, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert (called.status_code, refused.status_code) == (200, 400)


@pytest.mark.parametrize("path", ["/api/devices", "/api/devices/t1", "/api/opt-outs"])
def test_options_without_the_question_of_a_browser_are_answered(
    client: FlaskClient, path: str
) -> None:
    for headers in ({}, {"Origin": SHOP}):
        answer = client.options(path, headers=headers)

        assert (answer.status_code, "OPTIONS" in answer.headers["Allow"]) == (200, True)


def test_the_question_of_a_browser_needs_no_token(app: Flask) -> None:
    for path, method in (
        ("/api/devices", "POST"),
        ("/api/devices/t1", "DELETE"),
        ("/api/opt-outs", "GET"),
        ("/api/opt-outs", "DELETE"),
    ):
        headers = {"Origin": SHOP, "Access-Control-Request-Method": method}
        assert app.test_client().options(path, headers=headers).status_code == 204, path


@pytest.mark.parametrize("origin", [FOREIGN, "null", "*", f"{SHOP}.evil.test", "http://shop.test"])
def test_a_page_of_another_origin_is_refused_and_nothing_is_done(
    client: FlaskClient, alice: FlaskClient, origin: str
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answers = [
        alice.options("/api/devices", headers=headers),
        alice.post("/api/devices", json={"token": "t1"}, headers={"Origin": origin}),
    ]

    for answer in answers:
        assert answer.status_code == 403
        assert "PUSH_ALLOWED_ORIGINS" in answer.get_json()["detail"]
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
    assert devices_of(client, ALICE) == []


def test_other_routes_are_open_to_no_page(app: Flask, client: FlaskClient) -> None:
    headers = {"Origin": SHOP, "Access-Control-Request-Method": "GET"}

    assert app.test_client().options("/api/devices", headers=headers).status_code == 401
    assert "Access-Control-Allow-Origin" not in client.get("/api/people", headers=headers).headers


def test_the_audit_log_has_opt_outs_and_no_registrations_and_names_users_by_a_hash(
    client: FlaskClient, app: Flask, backend: FlaskClient
) -> None:
    user, before = uuid4(), newest(client)
    phone = app_of(app, user)
    phone.post("/api/devices", json={"token": "t1"})
    backend.post("/api/devices", json={"token": "t2", "userId": str(user)})
    phone.post("/api/opt-outs", json={"userId": str(user)})
    phone.delete("/api/devices?token=t1")

    recorded = changes(client, before)
    assert [one["endpoint"] for one in recorded] == ["devices.forget", "opt_outs.opt_out"]
    assert {(one["role"], str(one["actor"])[:5]) for one in recorded} == {("app", "user:")}
    assert str(user) not in str(recorded)


def test_one_user_does_not_fill_the_audit_log(client: FlaskClient, app: Flask) -> None:
    before, busy = newest(client), app_of(app, uuid4())

    for _ in range(RECORDED_OF_USER.requests + 10):
        busy.delete("/api/opt-outs?scope=all")

    assert 0 < len(changes(client, before)) <= RECORDED_OF_USER.requests + 1


def test_200_devices_of_a_user_are_kept_and_forgotten(client: FlaskClient, app: Flask) -> None:
    user = uuid4()
    listed = [{"token": f"t{number}", "userId": str(user)} for number in range(200)]
    client.post("/api/devices", json={"devices": listed})
    phone = app_of(app, user)

    phone.post("/api/devices", json={"token": "t200"})

    assert len(devices_of(client, user)) == 201
    assert devices_of(client, user)[0]["token"] == "t200"
    assert phone.delete(f"/api/devices?userId={user}").get_json() == {"deleted": 201}
