"""Signing in through an identity provider: what it proves, and what it does not prove."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask import Flask
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.web.access.session import COOKIE
from tests.fakes.identity_provider import (
    CLIENT_ID,
    Claims,
    FakeProvider,
    anna,
)
from tests.push_blaster.web.access.people_support import (
    PUBLIC_URL,
    PersonVisitor,
)

Forge = Callable[[FakeProvider, Claims], str]
ANNA = "Anna Bauer (anna@example.com)"


@pytest.fixture
def visitor(people_app: Flask) -> PersonVisitor:
    return PersonVisitor(people_app)


def test_a_person_signs_in_and_goes_to_the_requested_page(visitor: PersonVisitor) -> None:
    answer = visitor.sign_in("/executions?show=failed")

    assert (answer.status_code, answer.location) == (303, "/executions?show=failed")
    assert visitor.name() == ANNA


def test_the_request_proves_itself_and_names_our_own_address_whatever_the_host_is(
    visitor: PersonVisitor, provider: FakeProvider
) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    first = visitor.client.get("/sign-in/provider", headers=headers).location
    second = visitor.client.get("/sign-in/provider", headers=headers).location

    asked = [parse_qs(urlsplit(one).query) for one in (first, second)]
    assert first.startswith(f"{provider.url}/authorize?")
    assert asked[0]["redirect_uri"] == [f"{PUBLIC_URL}/sign-in/return"]
    assert asked[0]["response_type"] == ["code"]
    assert asked[0]["client_id"] == [CLIENT_ID]
    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["scope"] == ["openid profile email"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[0][name][0]) == 43
        assert asked[0][name] != asked[1][name]


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_person_goes_to_our_own_pages_only(visitor: PersonVisitor, wanted: str) -> None:
    assert visitor.sign_in(wanted).location == "/"


def changed(**changes: Any) -> Forge:
    return lambda provider, claims: provider.sign(
        {name: value for name, value in {**claims, **changes}.items() if value is not None}
    )


def pack(part: object) -> bytes:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(content).rstrip(b"=")


def unsigned(provider: FakeProvider, claims: Claims) -> str:
    parts = [{"alg": "none", "kid": provider.key.kid}, claims]
    return b".".join([*map(pack, parts), b""]).decode()


def signed_with_the_public_key(provider: FakeProvider, claims: Claims) -> str:
    parts = [{"alg": "HS256", "kid": provider.key.kid}, claims]
    packed = b".".join(map(pack, parts))
    secret = provider.key.as_pem(private=False)
    return b".".join([packed, pack(hmac.digest(secret, packed, "sha256"))]).decode()


def signed_by_another(provider: FakeProvider, claims: Claims) -> str:
    key = RSAKey.generate_key(2_048, {"kid": str(provider.key.kid)})
    return jws.serialize_compact({"alg": "RS256", "kid": key.kid}, json.dumps(claims), key)


def signed_by_an_unknown_key(provider: FakeProvider, claims: Claims) -> str:
    key = RSAKey.generate_key(2_048, {"kid": "unknown"})
    return jws.serialize_compact({"alg": "RS256", "kid": key.kid}, json.dumps(claims), key)


def bringing_its_own_key(provider: FakeProvider, claims: Claims) -> str:
    key = RSAKey.generate_key(2_048)
    header = {"alg": "RS256", "jwk": key.as_dict(private=False)}
    return jws.serialize_compact(header, json.dumps(claims), key)


HOSTILE: dict[str, Forge] = {
    "wrong nonce": changed(nonce="another"),
    "no nonce": changed(nonce=None),
    "for another client": changed(aud="another"),
    "for no client": changed(aud=None),
    "for many and authorised for another": changed(aud=[CLIENT_ID, "x"], azp="x"),
    "for many and authorised for nobody": changed(aud=[CLIENT_ID, "x"]),
    "of another issuer": changed(iss="https://evil.example"),
    "of no issuer": changed(iss=None),
    "about nobody": changed(sub=None),
    "about a number": changed(sub=17),
    "expired": lambda p, c: p.sign({**c, "iat": c["iat"] - 400, "exp": c["iat"] - 61}),
    "without an end": changed(exp=None),
    "with an end in words": changed(exp="never"),
    "not valid yet": lambda p, c: p.sign({**c, "nbf": c["iat"] + 90}),
    "from the future": lambda p, c: p.sign({**c, "iat": c["iat"] + 90}),
    "of last week": lambda p, c: p.sign({**c, "iat": c["iat"] - 7 * 86_400}),
    "for another access token": changed(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "unsigned": unsigned,
    "signed with the public key as a secret": signed_with_the_public_key,
    "signed by another key of the same name": signed_by_another,
    "signed by an unknown key": signed_by_an_unknown_key,
    "bringing its own key": bringing_its_own_key,
    "no token at all": lambda p, c: "x",
    "a token of three empty parts": lambda p, c: "..",
}


@pytest.mark.parametrize("forge", HOSTILE.values(), ids=HOSTILE)
def test_an_id_token_that_proves_nothing_opens_nothing(
    visitor: PersonVisitor, provider: FakeProvider, forge: Forge
) -> None:
    provider.forge = lambda claims: forge(provider, claims)

    answer = visitor.sign_in()

    assert answer.status_code == 401
    assert "did not prove who you are" in answer.text
    assert visitor.name() == ""


@pytest.mark.parametrize(
    "seconds", [-50, 50], ids=["a clock that is behind", "a clock that is ahead"]
)
def test_the_clock_of_the_provider_may_be_a_little_off(
    visitor: PersonVisitor, provider: FakeProvider, seconds: int
) -> None:
    provider.forge = lambda claims: provider.sign(
        {**claims, "iat": claims["iat"] + seconds, "exp": claims["iat"] + seconds + 1}
    )

    assert visitor.sign_in().status_code == 303


KEYS: dict[str, ECKey | RSAKey] = {
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "PS384": RSAKey.generate_key(2_048, {"kid": "rsa"}),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_each_usual_signature_by_a_private_key_is_verified(
    own_people_app: Flask, provider: FakeProvider, algorithm: str
) -> None:
    key = KEYS[algorithm]
    provider.answers["/jwks"] = (200, json.dumps({"keys": [key.as_dict(private=False)]}).encode())
    provider.forge = lambda claims: jws.serialize_compact(
        {"alg": algorithm, "kid": key.kid}, json.dumps(claims), key, [algorithm]
    )

    assert PersonVisitor(own_people_app).sign_in().status_code == 303


def test_an_answer_counts_once_even_with_its_cookie(
    visitor: PersonVisitor, provider: FakeProvider
) -> None:
    provider.takes_codes_twice = True
    address = visitor.go_there(visitor.leave())
    before = visitor.cookie()
    assert visitor.come_back(address).status_code == 303
    visitor.take(before)

    replayed = visitor.come_back(address)

    assert replayed.status_code == 401
    assert visitor.name() == ""


def test_the_answer_for_one_browser_signs_in_no_other(
    people_app: Flask, visitor: PersonVisitor
) -> None:
    address = visitor.go_there(visitor.leave())
    stranger, victim = PersonVisitor(people_app), PersonVisitor(people_app)
    victim.leave()

    for other in (stranger, victim):
        refused = other.come_back(address)
        assert refused.status_code == 400
        assert "began in another browser" in refused.text
        assert other.name() == ""
    assert visitor.come_back(address).status_code == 303


def test_an_attempt_lasts_ten_minutes(visitor: PersonVisitor) -> None:
    with time_machine.travel(utc_now()) as clock:
        address = visitor.go_there(visitor.leave())
        clock.shift(timedelta(minutes=11))

        assert visitor.come_back(address).status_code == 400


@pytest.mark.parametrize(
    ("also", "status"),
    [("&iss=https://evil.example", 401), ("&error=access_denied", 401), ("&iss=", 401)],
)
def test_an_answer_of_another_provider_or_an_error_signs_nobody_in(
    visitor: PersonVisitor, also: str, status: int
) -> None:
    answer = visitor.come_back(visitor.go_there(visitor.leave()) + also)

    assert answer.status_code == status
    assert visitor.name() == ""


def test_another_site_cannot_begin_a_sign_in(visitor: PersonVisitor) -> None:
    sent = visitor.client.get("/sign-in/provider", headers={"Sec-Fetch-Site": "cross-site"})

    assert sent.location == "/sign-in?next=/"


def test_a_cookie_from_before_is_worth_nothing_after(people_app: Flask) -> None:
    attacker = PersonVisitor(people_app)
    attacker.leave()
    victim = PersonVisitor(people_app)
    victim.take(attacker.cookie())
    victim.sign_in()

    assert attacker.name() == ""
    assert victim.name() == ANNA


def test_signing_out_ends_every_copy_of_a_person_s_cookie(
    people_app: Flask, visitor: PersonVisitor
) -> None:
    visitor.sign_in()
    thief = PersonVisitor(people_app)
    thief.take(visitor.cookie())
    csrf = visitor.csrf_token()

    assert thief.name() == ANNA
    visitor.client.post("/sign-out", data={"csrf_token": csrf})

    assert thief.name() == ""


@pytest.mark.parametrize("roles", [None, [], ["strangers"], "", {"x": 1}, 7, [["admins"]], "team "])
def test_somebody_without_a_role_is_told_what_to_ask_the_administrator(
    visitor: PersonVisitor, provider: FakeProvider, database: Database, roles: object
) -> None:
    provider.who = anna(roles=roles)

    refused = visitor.sign_in()

    assert refused.status_code == 403
    assert "You have no role here" in refused.text
    assert "Ask an administrator" in refused.text
    assert "a-1" in refused.text
    assert visitor.name() == ""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT what LIKE '%a-1%', status FROM audit_log"
            " WHERE path = '/sign-in/return' ORDER BY id DESC LIMIT 1"
        )
        assert cursor.fetchone() == (True, 403)


def test_what_a_person_does_is_under_the_person_s_name(
    visitor: PersonVisitor, provider: FakeProvider, people_app: Flask
) -> None:
    provider.who = anna(roles=["all", "admins"])
    visitor.sign_in()
    csrf = visitor.csrf_token()

    made = visitor.client.post(
        "/api/tokens",
        json={"name": "made-by-anna", "role": "viewer"},
        headers={"X-CSRF-Token": csrf},
    )

    assert made.get_json()["createdBy"] == ANNA
    log = visitor.client.get("/api/audit-log", query_string={"actor": ANNA}).get_json()["changes"]
    assert [(one["path"], one["role"]) for one in log][:2] == [
        ("/api/tokens", "admin"),
        ("/sign-in/return", "admin"),
    ]


def test_two_people_of_one_name_stay_apart_and_one_person_stays_one(
    people_app: Flask, provider: FakeProvider
) -> None:
    first, second, again = (PersonVisitor(people_app) for _ in range(3))
    first.sign_in()
    provider.who = anna(sub="a-2", name="anna  BAUER\u200b", email="Anna@example.com")
    second.sign_in()
    provider.who = anna()
    again.sign_in()

    assert first.name() == again.name() == ANNA
    assert second.name().startswith("anna BAUER (Anna@example.com) [")


def test_a_name_that_somebody_had_is_nobody_else_s(
    people_app: Flask, provider: FakeProvider
) -> None:
    PersonVisitor(people_app).sign_in()
    provider.who = anna(name="Anna Cortez")
    renamed = PersonVisitor(people_app)
    renamed.sign_in()
    provider.who = anna(sub="b-1")
    impostor = PersonVisitor(people_app)
    impostor.sign_in()

    assert renamed.name() == "Anna Cortez (anna@example.com)"
    assert impostor.name().startswith(f"{ANNA} [")


def test_no_token_of_the_provider_is_in_cookies_the_database_or_the_audit_log(
    visitor: PersonVisitor, provider: FakeProvider, database: Database, capfd: Any
) -> None:
    visitor.sign_in()
    cookie = visitor.client.get_cookie(COOKIE)
    assert cookie
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT string_agg(s::text, '') FROM sessions s)"
            " || (SELECT string_agg(a::text, '') FROM audit_log a)"
        )
        stored = str(cursor.fetchone())
    logged = "".join(capfd.readouterr())

    assert len(provider.secrets) == 4
    found = [s for s in provider.secrets if s in stored + cookie.decoded_value + logged]
    assert found == []


def test_new_keys_of_the_provider_are_read_once_a_minute_at_most(
    own_people_app: Flask, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = PersonVisitor(own_people_app)
    visitor.sign_in()
    provider.change_keys()
    at_once = visitor.sign_in().status_code
    elapsed = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: elapsed)
    later = visitor.sign_in().status_code

    assert (at_once, later) == (401, 303)
    assert provider.asked.count("/jwks") == 2
