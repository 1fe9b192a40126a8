"""Signing in: a session that stands for a token, and for nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from push_blaster.app import create_app
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


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/\\evil.example"])
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
