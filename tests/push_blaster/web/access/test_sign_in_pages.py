"""Signing in: a session that stands for a token, and for nothing else."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient

from chassis.bearer_auth import Role
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.stored_secrets import read_stored_secret
from push_blaster.app import create_app
from push_blaster.domain.access.token import fingerprint
from push_blaster.use_cases.access.manage_sessions import LASTS
from push_blaster.web.access.session import COOKIE
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.page_support import Visitor

HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}


def test_whoever_is_not_signed_in_is_sent_to_sign_in_and_back(app: Flask) -> None:
    stranger = app.test_client()

    sent = stranger.get("/executions?show=failed")
    signed_in = stranger.post(sent.location, data={"token": "viewer"})

    assert sent.status_code == 303
    assert signed_in.location == "/executions?show=failed"
    assert stranger.get(signed_in.location).status_code == 200


def test_a_token_that_nobody_knows_opens_nothing(app: Flask) -> None:
    stranger = app.test_client()

    refused = stranger.post("/sign-in", data={"token": "guess"})

    assert refused.status_code == 401
    assert "This token is unknown" in refused.text
    assert stranger.get("/").status_code == 303


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "/%5cevil"],
)
def test_signing_in_leads_to_our_own_pages_only(app: Flask, wanted: str) -> None:
    response = app.test_client().post("/sign-in", data={"token": "viewer", "next": wanted})

    assert response.location == "/"


def test_the_cookie_holds_no_token_and_is_out_of_reach_of_scripts(app: Flask) -> None:
    cookie = app.test_client().post("/sign-in", data={"token": "viewer"}).headers["Set-Cookie"]

    assert "viewer" not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_session_is_good_for_the_api_too(viewer: Visitor) -> None:
    assert viewer.client.get("/api/executions").status_code == 200


@pytest.mark.parametrize("path", ["/sign-out", "/api/automation/emergency-stop"])
def test_what_another_site_sends_is_refused(admin: Visitor, path: str) -> None:
    forged = admin.post_bare(path)

    assert forged.status_code == 403
    assert "another site" in forged.text


def test_scripts_of_ours_send_the_token_in_a_header(admin: Visitor) -> None:
    headers = {"X-CSRF-Token": admin.csrf_token()}

    assert admin.client.post("/api/automation/emergency-stop", headers=headers).status_code == 200


def test_a_role_sees_no_more_than_it_may(viewer: Visitor) -> None:
    refused = viewer.client.get("/executions/x/stop")

    assert refused.status_code == 403
    assert "operator is needed" in refused.text


def test_signing_out_ends_the_session(viewer: Visitor) -> None:
    viewer.post("/sign-out")

    assert viewer.client.get("/").status_code == 303


def _copy_cookie(app: Flask, visitor: Visitor) -> FlaskClient:
    thief, cookie = app.test_client(), visitor.client.get_cookie(COOKIE)
    assert cookie
    thief.set_cookie(COOKIE, cookie.value)
    return thief


def test_signing_out_ends_every_copy_of_the_cookie_and_no_other_session(
    app: Flask, viewer: Visitor
) -> None:
    thief, another = _copy_cookie(app, viewer), Visitor(app, "viewer")
    assert thief.get("/executions").status_code == 200

    viewer.post("/sign-out")

    assert thief.get("/executions").status_code == 303
    assert thief.get("/api/executions").status_code == 401
    assert another.client.get("/executions").status_code == 200


def test_signing_in_again_ends_the_session_before(app: Flask, viewer: Visitor) -> None:
    thief = _copy_cookie(app, viewer)

    viewer.post_bare("/sign-in", token="operator")

    assert thief.get("/executions").status_code == 303
    assert "Signed in as operator" in viewer.get("/executions")


def test_a_session_ends_after_a_week_however_busy_it_is(app: Flask) -> None:
    now = utc_now()
    with time_machine.travel(now) as clock:
        viewer = Visitor(app, "viewer")
        while utc_now() < now + LASTS - timedelta(hours=7):
            clock.shift(timedelta(hours=6))
            assert viewer.client.get("/executions").status_code == 200
        clock.shift(timedelta(hours=7))

        assert viewer.client.get("/executions").status_code == 303


def test_a_session_that_nobody_uses_ends_sooner_whatever_the_cookie_says(
    app: Flask, viewer: Visitor, database: Database
) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE sessions SET seen_at = seen_at - interval '12 hours'")

    assert viewer.client.get("/executions").status_code == 303


def _app_with(push_url: str, folder: Path, tokens: dict[str, Role]) -> Flask:
    return create_app(replace(settings_for(push_url, folder), tokens=tokens))


def test_another_token_ends_the_sessions_of_that_token_only(
    app: Flask, viewer: Visitor, admin: Visitor, push_url: str, tmp_path: Path
) -> None:
    tokens = {"another-viewer": Role.VIEWER, "admin": Role.ADMIN}
    restarted = _app_with(push_url, tmp_path, tokens)

    assert _copy_cookie(restarted, viewer).get("/executions").status_code == 303
    assert _copy_cookie(restarted, admin).get("/executions").status_code == 200


@pytest.mark.parametrize("made_of", [["admin", "operator", "viewer"], ["admin"], [""]])
def test_a_cookie_that_is_signed_with_something_made_of_tokens_opens_nothing(
    app: Flask, made_of: list[str]
) -> None:
    key = hashlib.sha256("\n".join(["session", *made_of]).encode()).digest()
    forger = Flask("forger")
    forger.secret_key = key
    signer = SecureCookieSessionInterface().get_signing_serializer(forger)
    assert signer
    client = app.test_client()
    client.set_cookie(COOKIE, signer.dumps({"token": fingerprint("admin"), "csrf": "x"}))

    assert client.get("/executions").status_code == 303


def test_the_cookie_s_key_is_random_and_the_same_for_every_worker(
    app: Flask, viewer: Visitor, push_url: str, tmp_path: Path, database: Database
) -> None:
    another_worker = create_app(settings_for(push_url, tmp_path))

    assert _copy_cookie(another_worker, viewer).get("/executions").status_code == 200
    with database.transaction() as connection:
        assert len(read_stored_secret(connection, "session-cookie")) == 64


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://localhost.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[evil"},
    ],
)
def test_another_site_signs_nobody_in(app: Flask, headers: dict[str, str]) -> None:
    victim = app.test_client()

    refused = victim.post("/sign-in", data={"token": "viewer"}, headers=headers)

    assert refused.status_code == 403
    assert "another site" in refused.text
    assert victim.get("/executions").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Origin": "http://localhost"},
        {"Origin": "http://LOCALHOST:80"},
    ],
)
def test_our_own_page_signs_in(app: Flask, headers: dict[str, str]) -> None:
    answer = app.test_client().post("/sign-in", data={"token": "viewer"}, headers=headers)

    assert answer.status_code == 303


def test_pages_load_nothing_but_our_own(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_page_that_is_not_there_says_so_as_a_page(viewer: Visitor) -> None:
    response = viewer.client.get("/executions/none")

    assert response.status_code == 404
    assert response.mimetype == "text/html"
    assert "There is no execution &#39;none&#39;" in response.text


def _cookie(app: Flask, **options: object) -> str:
    return (
        app.test_client()
        .post("/sign-in", data={"token": "viewer"}, **options)
        .headers["Set-Cookie"]
    )


def test_the_cookie_goes_over_https_only_where_it_came_so_or_always_by_setting(
    push_url: str, tmp_path: Path
) -> None:
    settings = settings_for(push_url, tmp_path)
    usual, strict, behind = (
        create_app(replace(settings, **changes))
        for changes in ({}, {"cookie_secure": True}, {"trusted_proxies": 1})
    )

    assert "Secure" not in _cookie(usual)
    assert "Secure" in _cookie(usual, base_url="https://push.example")
    assert "Secure" in _cookie(strict)
    assert "Secure" in _cookie(behind, headers=HTTPS)
    assert "Secure" not in _cookie(usual, headers=HTTPS)
